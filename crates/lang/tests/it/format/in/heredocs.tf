locals {
  a = <<EOT
  text   with   space
 ${ a }
   ${b}${ c }
EOT
  bb = <<-EOT
      indented
        %{ if x }
      y
        %{ endif ~}
    EOT
  c = f(<<EOT
text
EOT
  , 1)
  d = [<<EOT
one
EOT
  ,<<EOT
two
EOT
]
  e = {
    a = <<EOT
x
EOT
  b = 2
      cccc = 3
  }
  f = <<EOT
EOT
  g = <<EOT

EOT
}
