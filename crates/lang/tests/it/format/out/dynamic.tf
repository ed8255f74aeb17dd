resource "aws_security_group" "x" {
  for_each = toset(["a", "b"])
  dynamic "ingress" {
    for_each = var.rules
    iterator = it
    content {
      from_port   = it.value.from
      to_port     = it.value.to
      cidr_blocks = [for c in it.value.cidrs : c if c != ""]
    }
  }
  lifecycle { ignore_changes = [tags, name] }
  provisioner "remote-exec" {
    inline = [
      "sudo apt-get update",
      "echo ${self.private_ip}>/etc/x",
    ]
    connection {
      type = "ssh"
      host = self.public_ip
    }
  }
  depends_on = [aws_vpc.main, module.x]
}
