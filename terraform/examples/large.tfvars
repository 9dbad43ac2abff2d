# Production: a service for each queue, three zones that do without each other, and a Postgres that fails over.
environment        = "production"
region             = "eu-west-1"
account_id         = "111122223333"
availability_zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
certificate_arn    = "arn:aws:acm:eu-west-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"
access_logs_bucket = "example-load-balancer-logs"
web_acl_arn        = "arn:aws:wafv2:eu-west-1:111122223333:regional/webacl/holdfast/00000000-0000-0000-0000-000000000000"

images = {
  api      = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/holdfast/api@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  worker   = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/holdfast/worker@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  operator = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/holdfast/migrate@sha256:0000000000000000000000000000000000000000000000000000000000000000"
}
architecture = "ARM64"

api    = { cpu = 2048, memory = 4096, min_tasks = 3, max_tasks = 24 }
worker = { cpu = 2048, memory = 4096, min_tasks = 2, max_tasks = 20 }
worker_overrides = {
  transactions = { min_tasks = 3, max_tasks = 40 }
  # Few of these come, and they may wait until a task has started.
  orders  = { min_tasks = 0, max_tasks = 10 }
  journal = { cpu = 1024, memory = 2048, max_tasks = 6 }
}

database = {
  instance_class        = "db.r7g.4xlarge"
  instances             = 3
  max_connections       = 5000
  connections_per_task  = 20
  backup_retention_days = 35
}

server_key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:holdfast/production/server-key-abcdef"

partners = {
  processor = {
    base_url               = "https://api.processor.example.com/v2"
    auth_header_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:holdfast/production/processor-abcdef:auth_header::"
    webhook_secret_arn     = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:holdfast/production/processor-abcdef:webhook_secret::"
    settings               = { create_timeout_ms = "15000", concurrency = "512" }
  }
  ledger = {
    base_url               = "https://ledger.example.com"
    auth_header_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:holdfast/production/ledger-abcdef"
    settings               = { idempotent = "false" }
  }
  warehouse = {
    base_url           = "https://orders.warehouse.example.com"
    webhook_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:holdfast/production/warehouse-abcdef"
  }
}

routing = {
  transactions = "processor"
  refunds      = ["ledger", "processor"]
  orders       = "warehouse"
}

settings = {
  RUST_LOG                                = "info"
  HOLDFAST__CALLBACKS__RETRY_AFTER_CAP_MS = "1800000"
}

alarm_emails       = ["on-call@example.com"]
log_retention_days = 365
