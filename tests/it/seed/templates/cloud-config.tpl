#cloud-config
packages:
  - docker-ce=${docker_version}*
write_files:
%{ for master in masters ~}
  - path: /etc/masters.d/${master}
%{ endfor ~}
