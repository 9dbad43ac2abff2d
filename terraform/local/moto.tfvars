# The whole root at moto: as much of it as there is, with moto's account.
environment        = "local"
region             = "eu-west-1"
account_id         = "123456789012"
availability_zones = ["eu-west-1a", "eu-west-1b"]
certificate_arn    = "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"

images = {
  api      = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/holdfast/api@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  worker   = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/holdfast/worker@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  operator = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/holdfast/migrate@sha256:0000000000000000000000000000000000000000000000000000000000000000"
}

worker = { min_tasks = 0 }

server_key_secret_arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:server-key-abcdef"

partners = {
  processor = {
    base_url               = "https://processor.example.com"
    auth_header_secret_arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:processor-abcdef:auth_header::"
    webhook_secret_arn     = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:processor-abcdef:webhook_secret::"
  }
}

alarm_emails        = ["team@example.com"]
deletion_protection = false
