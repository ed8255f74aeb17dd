resource "a" "b" {
  a=1
    bbbb = 2 # c
  # alone

  c = <<EOT
  text
  ${ x }
EOT
  d = [
1,
  ]
  e = "${x}"
  f = "${
    x
  }"
}
