a    = b == c
dd   = b == "c"
e    = f(x == y)
g    = { x = a == b }
hhhh = a >= b
i = {
  x    = y == z
  zzzz = 1
}
