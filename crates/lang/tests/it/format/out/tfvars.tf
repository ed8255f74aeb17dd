name = "x"
list = ["a",
"b"]
object = {
  a = 1
}
