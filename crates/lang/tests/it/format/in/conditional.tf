a = b?c:d
e = (
  f
  ? g
  : h
)
i = j ? {
  a = 1
} : {
  b = 2
}
k = l ? [
  1
] : []
m = n ? "x${y}" : <<EOT
z
EOT
