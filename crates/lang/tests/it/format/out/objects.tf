a = {
  b     = 1
  cc    = 2,
  "d d" = 3
  (e)   = 4
  f : 5
  ggg : 6
  "${h}" = 7
  i.j    = 8
  1      = 9
  k      = { l = 1, mm = 2 }
  n      = "o", p = "q"
  true   = 1
  for_   = 2
}
b = { a = 1, b = 2 }
c = { a = 1
b = 2 }
d = {
  a   = 1, b = 2,
  ccc = 3
}
