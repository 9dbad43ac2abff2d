mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name       = "holdfast-api"
  region     = "eu-west-1"
  account_id = "111122223333"
  image      = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/holdfast/api@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  program    = ["/usr/local/bin/holdfast-api", "--config", "none"]
  cpu        = 512
  memory     = 1024
  port       = 8080
  environment = {
    RUST_LOG     = "info"
    DATABASE_URL = "postgres://host:5432/holdfast?sslmode=verify-full"
  }
  secrets = {
    PGPASSWORD           = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:database-abcdef:password::"
    PGUSER               = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:database-abcdef:username::"
    HOLDFAST__SERVER_KEY = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:server-key-abcdef"
  }
  secret_kms_key_arns = ["arn:aws:kms:eu-west-1:111122223333:key/1"]
  permissions         = [{ sid = "Send", actions = ["sqs:SendMessage"], resources = ["arn:aws:sqs:eu-west-1:111122223333:work"] }]
  log_retention_days  = 90
  kms_key_arn         = "arn:aws:kms:eu-west-1:111122223333:key/1"
}

run "the_container_can_change_nothing" {
  assert {
    condition = (
      jsondecode(output.container_definitions)[0].readonlyRootFilesystem == true
      && jsondecode(output.container_definitions)[0].user == "65532:65532"
      && jsondecode(output.container_definitions)[0].linuxParameters.capabilities.drop == ["ALL"]
    )
    error_message = "Read-only root, not root, no capabilities."
  }

  assert {
    condition     = jsondecode(output.container_definitions)[0].stopTimeout == 120
    error_message = "It has two minutes to stop."
  }

  assert {
    condition = (
      jsondecode(output.container_definitions)[0].entryPoint == ["/usr/local/bin/holdfast-api"]
      && jsondecode(output.container_definitions)[0].command == ["--config", "none"]
      && jsondecode(output.container_definitions)[0].portMappings[0].containerPort == 8080
    )
    error_message = "It runs the program and listens on the port."
  }

  assert {
    condition     = !can(jsondecode(output.container_definitions)[0].healthCheck)
    error_message = "An image that knows no healthcheck is not asked."
  }
}

run "secrets_are_references" {
  assert {
    condition     = [for one in jsondecode(output.container_definitions)[0].secrets : one.name] == ["HOLDFAST__SERVER_KEY", "PGPASSWORD", "PGUSER"]
    error_message = "All secrets are there."
  }

  assert {
    condition     = alltrue([for one in jsondecode(output.container_definitions)[0].secrets : startswith(one.valueFrom, "arn:aws:secretsmanager:")])
    error_message = "Each is an ARN."
  }

  assert {
    condition     = [for one in jsondecode(output.container_definitions)[0].environment : one.name] == ["DATABASE_URL", "RUST_LOG"]
    error_message = "None is in the environment."
  }
}

run "ecs_may_start_it_and_no_more" {
  assert {
    condition = { for one in jsondecode(output.execution_policy).Statement : one.Sid => one.Resource } == {
      WriteLogs = ["arn:aws:logs:eu-west-1:111122223333:log-group:any:*"]
      ReadSecrets = [
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:server-key-abcdef",
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:database-abcdef",
      ]
      DecryptSecrets  = ["arn:aws:kms:eu-west-1:111122223333:key/1"]
      PullImage       = ["arn:aws:ecr:eu-west-1:111122223333:repository/holdfast/api"]
      LogInToRegistry = ["*"]
    }
    error_message = "Logs, the named secrets without their JSON keys, their key, the one repository."
  }

  assert {
    condition = jsondecode(output.task_policy).Statement == [{
      Sid      = "Send"
      Effect   = "Allow"
      Action   = ["sqs:SendMessage"]
      Resource = ["arn:aws:sqs:eu-west-1:111122223333:work"]
    }]
    error_message = "The program may do what was asked for."
  }

  assert {
    condition     = jsondecode(aws_iam_role.task.assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "111122223333"
    error_message = "ECS acts for this account only."
  }
}

run "another_registry_needs_no_permission" {
  variables {
    image        = "ghcr.io/holdfast/api@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    permissions  = []
    port         = null
    health_check = true
  }

  assert {
    condition     = [for one in jsondecode(output.execution_policy).Statement : one.Sid] == ["WriteLogs", "ReadSecrets", "DecryptSecrets"]
    error_message = "Nothing of ECR."
  }

  assert {
    condition     = output.task_policy == null && jsondecode(output.container_definitions)[0].portMappings == []
    error_message = "It may do nothing, and listens nowhere."
  }

  assert {
    condition     = jsondecode(output.container_definitions)[0].healthCheck.command == ["CMD", "/usr/local/bin/holdfast-api", "healthcheck"]
    error_message = "There is no shell in the image."
  }
}

run "a_tag_is_refused" {
  command = plan

  variables {
    image = "ghcr.io/holdfast/api:latest"
  }

  expect_failures = [var.image]
}

run "a_credential_in_the_environment_is_refused" {
  command = plan

  variables {
    environment = { DATABASE_URL = "postgres://user:word@host/holdfast" }
  }

  expect_failures = [var.environment]
}

run "a_wildcard_among_actions_is_refused" {
  command = plan

  variables {
    permissions = [{ sid = "Send", actions = ["sqs:*"], resources = ["arn:aws:sqs:eu-west-1:111122223333:work"] }]
  }

  expect_failures = [var.permissions]
}
