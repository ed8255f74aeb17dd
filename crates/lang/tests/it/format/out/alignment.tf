locals {
  a            = 1
  bbbbbb       = 2
  ccc          = 3 # three
  dddddddddddd = 4 // four
  e            = 5

  f = 6
  # alone
  gggg = 7
  h = [
    1,
  ]
  iiii = 8
  j    = { a = 1 }
  kkkkkk = {
    a    = 1
    bbbb = 2   # b
    c    = "x" # c
  }
  l        = 9 /* block */
  mmmm     = 10 /* block */ # and line
  n        = <<EOT
text
EOT
  oooooooo = 1
}
block {
  a = 1
  nested { b = 2 }
  cccc = 3
}
x {
  tags  = { Name = "x", Other = "y" }
  é     = 1
  ñandú = 2
  日本語   = 3
  z     = "é" # one
  a     = "é" # two
  b     = "👨‍👩‍👧" # three
}
