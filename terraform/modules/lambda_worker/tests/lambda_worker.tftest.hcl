mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name               = "holdfast-lambda"
  account_id         = "111122223333"
  image              = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/holdfast/lambda@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  queue              = { arn = "arn:aws:sqs:eu-west-1:111122223333:work", visibility_timeout_seconds = 30 }
  max_concurrency    = 5
  subnet_ids         = ["subnet-1"]
  security_group_ids = ["sg-1"]
  secrets            = { PGPASSWORD = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:database-abcdef:password::" }
  send_queue_arns    = ["arn:aws:sqs:eu-west-1:111122223333:work", "arn:aws:sqs:eu-west-1:111122223333:other"]
  log_retention_days = 90
  kms_key_arn        = "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-000000000000"
}

run "one_failure_does_not_bring_the_others_back" {
  assert {
    condition     = aws_lambda_event_source_mapping.this.function_response_types == toset(["ReportBatchItemFailures"])
    error_message = "Failures are reported one by one."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.this.scaling_config[0].maximum_concurrency == 5
    error_message = "The event source bounds how many run."
  }
}

run "the_function_may_consume_its_queue_and_no_other" {
  assert {
    condition     = one([for one in jsondecode(output.policy).Statement : one.Resource if one.Sid == "Consume"]) == ["arn:aws:sqs:eu-west-1:111122223333:work"]
    error_message = "It receives from its queue."
  }

  assert {
    condition     = one([for one in jsondecode(output.policy).Statement : one.Resource if one.Sid == "ReadSecrets"]) == ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:database-abcdef"]
    error_message = "It reads the named secret."
  }

  assert {
    condition     = tomap(jsondecode(aws_lambda_function.this.environment[0].variables.HOLDFAST_SECRETS)) == var.secrets
    error_message = "It is told where its secrets are, not what they are."
  }
}

run "visibility_must_be_six_timeouts" {
  command = plan

  variables {
    timeout_seconds = 6
  }

  expect_failures = [aws_lambda_function.this]
}
