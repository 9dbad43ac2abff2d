output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "public_subnet_ids" {
  description = "For what is reached from the internet."
  value       = values(aws_subnet.public)[*].id
}

output "private_subnet_ids" {
  description = "For tasks: out through NAT, nothing in."
  value       = values(aws_subnet.private)[*].id
}

output "database_subnet_ids" {
  description = "For the database: neither out nor in."
  value       = values(aws_subnet.database)[*].id
}

output "workload_security_group_id" {
  description = "For everything that works here: nothing in, out to anywhere."
  value       = aws_security_group.workload.id
}

output "nat_public_ips" {
  description = "Where partners and clients see our requests come from."
  value       = values(aws_eip.nat)[*].public_ip
}
