# What each program may do, as IAM reads it.
mock_provider "aws" {
  source = "./tests/mocks"

  override_resource {
    target = module.queue["transactions"].aws_sqs_queue.this
    values = { arn = "arn:aws:sqs:eu-west-1:111122223333:transactions" }
  }

  override_resource {
    target = module.queue["transactions"].aws_sqs_queue.overflow
    values = { arn = "arn:aws:sqs:eu-west-1:111122223333:transactions-overflow" }
  }

  override_resource {
    target = module.queue["transactions"].aws_sqs_queue.dead_letter
    values = { arn = "arn:aws:sqs:eu-west-1:111122223333:transactions-dlq" }
  }

  override_resource {
    target = module.queue["refunds"].aws_sqs_queue.this
    values = { arn = "arn:aws:sqs:eu-west-1:111122223333:refunds" }
  }

  override_resource {
    target = module.queue["refunds"].aws_sqs_queue.overflow
    values = { arn = "arn:aws:sqs:eu-west-1:111122223333:refunds-overflow" }
  }

  override_resource {
    target = module.queue["refunds"].aws_sqs_queue.dead_letter
    values = { arn = "arn:aws:sqs:eu-west-1:111122223333:refunds-dlq" }
  }

  override_resource {
    target = module.queue["orders"].aws_sqs_queue.this
    values = { arn = "arn:aws:sqs:eu-west-1:111122223333:orders" }
  }

  override_resource {
    target = module.queue["orders"].aws_sqs_queue.overflow
    values = { arn = "arn:aws:sqs:eu-west-1:111122223333:orders-overflow" }
  }

  override_resource {
    target = module.queue["orders"].aws_sqs_queue.dead_letter
    values = { arn = "arn:aws:sqs:eu-west-1:111122223333:orders-dlq" }
  }

  override_resource {
    target = module.queue["journal"].aws_sqs_queue.this
    values = { arn = "arn:aws:sqs:eu-west-1:111122223333:journal" }
  }

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

run "who_submits_takes_nothing_out" {
  assert {
    condition = alltrue([for program in ["api", "operator"] : slice(jsondecode(output.policies[program]).Statement, 0, 2) == [
      {
        Sid    = "Send"
        Effect = "Allow"
        Action = ["sqs:SendMessage"]
        Resource = [
          "arn:aws:sqs:eu-west-1:111122223333:orders",
          "arn:aws:sqs:eu-west-1:111122223333:refunds",
          "arn:aws:sqs:eu-west-1:111122223333:transactions",
          "arn:aws:sqs:eu-west-1:111122223333:orders-overflow",
          "arn:aws:sqs:eu-west-1:111122223333:refunds-overflow",
          "arn:aws:sqs:eu-west-1:111122223333:transactions-overflow",
          "arn:aws:sqs:eu-west-1:111122223333:journal",
        ]
      },
      {
        Sid    = "Find"
        Effect = "Allow"
        Action = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
        Resource = [
          "arn:aws:sqs:eu-west-1:111122223333:orders",
          "arn:aws:sqs:eu-west-1:111122223333:refunds",
          "arn:aws:sqs:eu-west-1:111122223333:transactions",
          "arn:aws:sqs:eu-west-1:111122223333:orders-overflow",
          "arn:aws:sqs:eu-west-1:111122223333:refunds-overflow",
          "arn:aws:sqs:eu-west-1:111122223333:transactions-overflow",
          "arn:aws:sqs:eu-west-1:111122223333:journal",
        ]
      },
    ]])
    error_message = "API and operators send to the kinds' queues and to the journal, and take nothing out."
  }

  assert {
    condition     = length(jsondecode(output.policies["api"]).Statement) == 2
    error_message = "The API may do no more."
  }

  assert {
    condition = slice(jsondecode(output.policies["operator"]).Statement, 2, length(jsondecode(output.policies["operator"]).Statement)) == [
      {
        Sid    = "Look"
        Effect = "Allow"
        Action = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
        Resource = [
          "arn:aws:sqs:eu-west-1:111122223333:orders-dlq",
          "arn:aws:sqs:eu-west-1:111122223333:refunds-dlq",
          "arn:aws:sqs:eu-west-1:111122223333:transactions-dlq",
        ]
      },
    ]
    error_message = "Operators see how the dead-letter queues are set up, and that is all."
  }
}

run "a_worker_takes_from_its_queue_and_sends_to_all_kinds" {
  assert {
    condition = jsondecode(output.policies["worker-transactions"]).Statement == [
      {
        Sid      = "Consume"
        Effect   = "Allow"
        Action   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"]
        Resource = ["arn:aws:sqs:eu-west-1:111122223333:transactions", "arn:aws:sqs:eu-west-1:111122223333:transactions-overflow"]
      },
      {
        Sid    = "Send"
        Effect = "Allow"
        Action = ["sqs:SendMessage"]
        Resource = [
          "arn:aws:sqs:eu-west-1:111122223333:orders",
          "arn:aws:sqs:eu-west-1:111122223333:refunds",
          "arn:aws:sqs:eu-west-1:111122223333:transactions",
          "arn:aws:sqs:eu-west-1:111122223333:orders-overflow",
          "arn:aws:sqs:eu-west-1:111122223333:refunds-overflow",
          "arn:aws:sqs:eu-west-1:111122223333:transactions-overflow",
        ]
      },
      {
        Sid    = "Find"
        Effect = "Allow"
        Action = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
        Resource = [
          "arn:aws:sqs:eu-west-1:111122223333:transactions",
          "arn:aws:sqs:eu-west-1:111122223333:transactions-overflow",
          "arn:aws:sqs:eu-west-1:111122223333:orders",
          "arn:aws:sqs:eu-west-1:111122223333:refunds",
          "arn:aws:sqs:eu-west-1:111122223333:orders-overflow",
          "arn:aws:sqs:eu-west-1:111122223333:refunds-overflow",
        ]
      },
    ]
    error_message = "A worker for transactions takes transactions, and publishes what is overdue of any kind."
  }

  assert {
    condition = jsondecode(output.policies["worker-journal"]).Statement[0].Resource == [
      "arn:aws:sqs:eu-west-1:111122223333:journal",
      "arn:aws:sqs:eu-west-1:111122223333:orders-dlq",
      "arn:aws:sqs:eu-west-1:111122223333:refunds-dlq",
      "arn:aws:sqs:eu-west-1:111122223333:transactions-dlq",
    ]
    error_message = "Who reads the journal drains the dead letters."
  }

  assert {
    condition     = keys(output.policies) == ["api", "operator", "worker-journal", "worker-orders", "worker-refunds", "worker-transactions"]
    error_message = "There is nobody else."
  }
}

run "one_worker_for_all_takes_from_all" {
  variables {
    worker_layout = "one"
  }

  assert {
    condition = jsondecode(output.policies["worker-all"]).Statement[0].Resource == [
      "arn:aws:sqs:eu-west-1:111122223333:journal",
      "arn:aws:sqs:eu-west-1:111122223333:orders",
      "arn:aws:sqs:eu-west-1:111122223333:refunds",
      "arn:aws:sqs:eu-west-1:111122223333:transactions",
      "arn:aws:sqs:eu-west-1:111122223333:orders-overflow",
      "arn:aws:sqs:eu-west-1:111122223333:refunds-overflow",
      "arn:aws:sqs:eu-west-1:111122223333:transactions-overflow",
      "arn:aws:sqs:eu-west-1:111122223333:orders-dlq",
      "arn:aws:sqs:eu-west-1:111122223333:refunds-dlq",
      "arn:aws:sqs:eu-west-1:111122223333:transactions-dlq",
    ]
    error_message = "Queues, journal and dead letters."
  }
}

run "nobody_may_do_everything" {
  assert {
    condition = alltrue(flatten([
      for policy in output.policies : [
        for statement in jsondecode(policy).Statement : [for action in statement.Action : !strcontains(action, "*")]
      ]
    ]))
    error_message = "Every action is named."
  }

  assert {
    condition = alltrue(flatten([
      for policy in output.policies : [
        for statement in jsondecode(policy).Statement : [for resource in statement.Resource : startswith(resource, "arn:aws:sqs:")]
      ]
    ]))
    error_message = "Every resource is a queue."
  }
}
