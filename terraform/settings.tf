# What the binaries get as environment. Credentials come from Secrets Manager when a task starts, never from here.
locals {
  database_secret_arn = var.database_secret_arn == null ? module.database.secret_arn : var.database_secret_arn

  secret_kms_key_arns = concat([aws_kms_key.this.arn], var.secret_kms_key_arns)

  # The Postgres client takes user and password from PGUSER and PGPASSWORD, because the URL has none.
  database_url = join("", [
    "postgres://${module.database.host}:${module.database.port}/${module.database.database}",
    "?sslmode=verify-full&sslrootcert=${var.database_ca_file}",
  ])

  environment = merge(
    {
      AWS_REGION                      = var.region
      DATABASE_URL                    = local.database_url
      HOLDFAST__DATABASE__CONNECTIONS = tostring(var.database.connections_per_task)
      # SQS has fair queues: a message names its client, and one client's many do not hold up another's few.
      HOLDFAST__QUEUES__FAIR = "true"
    },
    { for key, queue in module.queue : "HOLDFAST__QUEUES__${upper(key)}" => queue.name },
    {
      HOLDFAST__TRANSACTIONS__PARTNER = var.routing.transactions
      HOLDFAST__REFUNDS__PARTNERS     = join(",", var.routing.refunds)
    },
    var.routing.orders == null ? {} : { HOLDFAST__ORDERS__PARTNER = var.routing.orders },
    var.encryption_current_key == null ? {} : { HOLDFAST__ENCRYPTION__CURRENT = var.encryption_current_key },
    local.partner_settings,
    local.events_settings,
    var.settings,
  )

  partner_settings = merge([for name, partner in var.partners : merge(
    { "HOLDFAST__PARTNERS__${upper(name)}__BASE_URL" = partner.base_url },
    { for key, value in partner.settings : "HOLDFAST__PARTNERS__${upper(name)}__${upper(key)}" => value },
  )]...)

  secrets = merge(
    {
      PGUSER               = "${local.database_secret_arn}:username::"
      PGPASSWORD           = "${local.database_secret_arn}:password::"
      HOLDFAST__SERVER_KEY = var.server_key_secret_arn
    },
    { for name, arn in var.encryption_key_secret_arns : "HOLDFAST__ENCRYPTION__KEYS__${upper(name)}" => arn },
  )

  # Only who verifies webhooks gets their secrets, only who calls partners gets the credentials for that.
  webhook_secrets = merge([for name, partner in var.partners : { for key, arn in {
    WEBHOOK_SECRET          = partner.webhook_secret_arn
    WEBHOOK_PREVIOUS_SECRET = partner.webhook_previous_secret_arn
  } : "HOLDFAST__PARTNERS__${upper(name)}__${key}" => arn if arn != null }]...)

  partner_credentials = {
    for name, partner in var.partners :
    "HOLDFAST__PARTNERS__${upper(name)}__AUTH_HEADER" => partner.auth_header_secret_arn
    if partner.auth_header_secret_arn != null
  }

  # A process opens what it is configured for, two around it, and one for the heartbeat; who publishes events, two for that.
  # A deployment runs twice as many tasks, and a few places are for operators.
  connections_per_process = var.database.connections_per_task + 3 + (local.has_events ? 2 : 0)
  processes               = var.api.max_tasks + sum(values(local.workers)[*].max_tasks)
  expected_connections = (
    2 * local.processes * local.connections_per_process
    + sum(concat([0], values(var.lambda_workers)[*].max_concurrency)) * local.connections_per_process
    + 20
  )
}
