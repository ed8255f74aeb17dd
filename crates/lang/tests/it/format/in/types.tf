variable "a" {
  type = "string"
}
variable "b" {
  type = "list"
}
variable "c" {
  type = "map"
}
variable "d" {
  type = list
}
variable "e" {
  type = map
}
variable "f" {
  type = set
}
variable "g" {
  type = "number"
}
variable "h" {
  type = object({ a=string,b = optional(number,1) })
  default = { type = "list" }
}
variable "i" {
  type = "${string}"
}
variable "j" { type = "list" }
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
  type = list # comment
  default = list
}
variable "l" {
  type = list(
    string
  )
}
