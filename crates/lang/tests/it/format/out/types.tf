variable "a" {
  type = string
}
variable "b" {
  type = list(string)
}
variable "c" {
  type = map(string)
}
variable "d" {
  type = list(any)
}
variable "e" {
  type = map(any)
}
variable "f" {
  type = set(any)
}
variable "g" {
  type = "number"
}
variable "h" {
  type    = object({ a = string, b = optional(number, 1) })
  default = { type = "list" }
}
variable "i" {
  type = "${string}"
}
variable "j" { type = list(string) }
variable "k" {
  type = any
  nested {
    type = "list"
  }
}
output "x" {
  type = "list"
}
variable {
  type    = list(any) # comment
  default = list
}
variable "l" {
  type = list(
    string
  )
}
