resource "foo" "bar" {
}
resource "foo" "bar" {}
resource "a\"b" "c" {
}
resource "é\n" "😀\u0007" {
}
resource "" "" {
}
module "x" {
}
a "b" "c" "d" "e" {
  f "g" {
  }
}
x "tab\there" "\\" {}
