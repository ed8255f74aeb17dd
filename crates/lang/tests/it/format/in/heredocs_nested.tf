locals {
  a = <<EOT
${ <<INNER
inner ${ x }
INNER
}
  EOT
  # after
  bb   = 1
  c = "${<<EOT
x
EOT
}y"
   d = <<-A_B-C
   EOT
   A_B-C
}
x = <<EOT
not EOT
EOT x
	EOT	
y = 1
