# A staging environment: one worker for everything, one zone's NAT gateway for all, one instance of Postgres.
environment        = "staging"
region             = "eu-west-1"
account_id         = "111122223333"
availability_zones = ["eu-west-1a", "eu-west-1b"]
certificate_arn    = "arn:aws:acm:eu-west-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"

nat_per_availability_zone = false
interface_endpoints       = []

images = {
  api      = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/holdfast/api@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  worker   = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/holdfast/worker@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  operator = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/holdfast/migrate@sha256:0000000000000000000000000000000000000000000000000000000000000000"
}

api           = { cpu = 256, memory = 512, min_tasks = 1, max_tasks = 2 }
worker        = { cpu = 512, memory = 1024, min_tasks = 1, max_tasks = 2 }
worker_layout = "one"

database = {
  instance_class        = "db.t4g.medium"
  instances             = 1
  max_connections       = 200
  backup_retention_days = 7
}

server_key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:holdfast/staging/server-key-abcdef"

partners = {
  processor = {
    base_url               = "https://sandbox.processor.example.com"
    auth_header_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:holdfast/staging/processor-abcdef:auth_header::"
    webhook_secret_arn     = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:holdfast/staging/processor-abcdef:webhook_secret::"
  }
}

alarm_emails        = ["team@example.com"]
log_retention_days  = 30
deletion_protection = false
