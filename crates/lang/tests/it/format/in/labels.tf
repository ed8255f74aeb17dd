resource foo bar {
}
resource "foo" bar {}
resource "a\"b" "c" {
}
resource "\u00e9\n" "\U0001F600\u0007" {
}
resource "" "" {
}
module   "x"   {
}
a "b" c "d" e {
  f   g {
  }
}
x "tab\there" "\\" {}
