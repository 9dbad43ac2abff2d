# How the parts fit together.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment           = "test"
  region                = "eu-west-1"
  account_id            = "111122223333"
  availability_zones    = ["eu-west-1a", "eu-west-1b"]
  certificate_arn       = "arn:aws:acm:eu-west-1:111122223333:certificate/1"
  server_key_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:server-key-abcdef"

  images = {
    api      = "ghcr.io/holdfast/api@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    worker   = "ghcr.io/holdfast/worker@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    operator = "ghcr.io/holdfast/migrate@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  }

  partners = {
    processor = {
      base_url               = "https://processor.example.com"
      auth_header_secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:processor-abcdef:auth::"
      webhook_secret_arn     = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:processor-abcdef:webhook::"
      settings               = { tries = "5" }
    }
  }
}

run "each_program_knows_what_it_needs" {
  assert {
    condition = tomap({
      for one in jsondecode(module.worker_task["transactions"].container_definitions)[0].environment : one.name => one.value
      }) == tomap({
      AWS_REGION                              = "eu-west-1"
      DATABASE_URL                            = "postgres://any.cluster-0.eu-west-1.rds.amazonaws.com:5432/holdfast?sslmode=verify-full&sslrootcert=/etc/holdfast/certificates/global-bundle.pem"
      HOLDFAST_QUEUES                         = "transactions"
      HOLDFAST__DATABASE__CONNECTIONS         = "10"
      HOLDFAST__PARTNERS__PROCESSOR__BASE_URL = "https://processor.example.com"
      HOLDFAST__PARTNERS__PROCESSOR__TRIES    = "5"
      HOLDFAST__QUEUES__FAIR                  = "true"
      HOLDFAST__QUEUES__JOURNAL               = "holdfast-journal"
      HOLDFAST__QUEUES__ORDERS                = "holdfast-orders"
      HOLDFAST__QUEUES__REFUNDS               = "holdfast-refunds"
      HOLDFAST__QUEUES__TRANSACTIONS          = "holdfast-transactions"
      HOLDFAST__REFUNDS__PARTNERS             = "processor"
      HOLDFAST__TRANSACTIONS__PARTNER         = "processor"
    })
    error_message = "The settings are those of the binaries, the certificate of Postgres is verified, and there is no password."
  }

  assert {
    condition = contains([
      for one in jsondecode(module.worker_task["journal"].container_definitions)[0].environment : one.value if one.name == "HOLDFAST_QUEUES"
    ], "journal,dead-letters,events")
    error_message = "Somebody reads the dead letters."
  }
}

run "secrets_go_to_who_needs_them" {
  assert {
    condition = [for one in jsondecode(module.api_task.container_definitions)[0].secrets : one.name] == [
      "HOLDFAST__PARTNERS__PROCESSOR__WEBHOOK_SECRET", "HOLDFAST__SERVER_KEY", "PGPASSWORD", "PGUSER",
    ]
    error_message = "The API verifies webhooks, and calls no partner."
  }

  assert {
    condition = [for one in jsondecode(module.worker_task["orders"].container_definitions)[0].secrets : one.name] == [
      "HOLDFAST__PARTNERS__PROCESSOR__AUTH_HEADER", "HOLDFAST__SERVER_KEY", "PGPASSWORD", "PGUSER",
    ]
    error_message = "The worker calls partners, and verifies no webhook."
  }

  assert {
    condition     = [for one in jsondecode(module.operator_task.container_definitions)[0].secrets : one.name] == ["HOLDFAST__SERVER_KEY", "PGPASSWORD", "PGUSER"]
    error_message = "Operators do neither."
  }
}

run "encryption_keys_go_to_everybody" {
  variables {
    encryption_current_key = "2026_11"
    encryption_key_secret_arns = {
      "2026_11" = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:encryption-2026-11-abcdef"
    }
  }

  assert {
    condition = alltrue([
      for task in [module.api_task, module.worker_task["orders"], module.operator_task] :
      contains([for one in jsondecode(task.container_definitions)[0].secrets : one.name], "HOLDFAST__ENCRYPTION__KEYS__2026_11")
      && contains([for one in jsondecode(task.container_definitions)[0].environment : one.value], "2026_11")
    ])
    error_message = "Who reads or writes secrets needs the keys."
  }
}

run "a_current_key_must_be_there" {
  command = plan

  variables {
    encryption_current_key = "2027_02"
  }

  expect_failures = [var.encryption_current_key]
}

run "the_journal_is_always_read" {
  variables {
    worker = { min_tasks = 0 }
  }

  assert {
    condition     = local.workers["journal"].min_tasks == 1 && local.workers["transactions"].min_tasks == 0
    error_message = "Dead letters wake nobody."
  }
}

run "a_new_queue_is_one_entry" {
  variables {
    queues_file = "tests/one_more_queue.json"
  }

  assert {
    condition     = output.queues["payouts"] == "holdfast-payouts" && module.queue["payouts"].dead_letter_name == "holdfast-payouts-dlq"
    error_message = "It is there, with its dead-letter queue."
  }

  assert {
    condition     = contains(keys(output.policies), "worker-payouts") && module.worker_scaling["payouts"].backlog_per_task["payouts"] == 15360
    error_message = "It has a service with a role, which is scaled by it."
  }

  assert {
    condition     = strcontains(module.observability.dashboard_body, "holdfast-payouts-dlq")
    error_message = "It is on the dashboard."
  }

  assert {
    condition = contains([
      for one in jsondecode(module.api_task.container_definitions)[0].environment : one.name
    ], "HOLDFAST__QUEUES__PAYOUTS")
    error_message = "The binaries are told."
  }
}

run "one_service_is_scaled_by_every_queue" {
  variables {
    worker_layout = "one"
  }

  assert {
    condition     = keys(module.worker_scaling["all"].backlog_per_task) == ["journal", "orders", "orders-overflow", "refunds", "refunds-overflow", "transactions", "transactions-overflow"]
    error_message = "Each queue can call for more tasks."
  }
}

run "a_function_can_consume_a_queue" {
  variables {
    lambda_workers = {
      orders = {
        image = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/holdfast/lambda@sha256:0000000000000000000000000000000000000000000000000000000000000000"
      }
    }
  }

  assert {
    condition     = module.lambda_worker["orders"].function_name == "holdfast-test-lambda-orders" && contains(keys(output.policies), "lambda-orders")
    error_message = "The function is there."
  }
}

run "routing_to_nobody_is_refused" {
  command = plan

  variables {
    routing = { refunds = ["ledger"] }
  }

  expect_failures = [var.routing]
}

run "a_secret_among_settings_is_refused" {
  command = plan

  variables {
    settings = { AWS_SECRET_ACCESS_KEY = "x" }
  }

  expect_failures = [var.settings]
}
