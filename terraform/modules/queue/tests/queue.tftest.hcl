mock_provider "aws" {
  source = "../../tests/mocks"

  override_resource {
    target = aws_sqs_queue.this
    values = { arn = "arn:aws:sqs:eu-west-1:111122223333:work", id = "https://sqs/work" }
  }

  override_resource {
    target = aws_sqs_queue.overflow
    values = { arn = "arn:aws:sqs:eu-west-1:111122223333:work-overflow", id = "https://sqs/work-overflow" }
  }

  override_resource {
    target = aws_sqs_queue.dead_letter
    values = { arn = "arn:aws:sqs:eu-west-1:111122223333:work-dlq", id = "https://sqs/work-dlq" }
  }
}

variables {
  queue         = { name = "work", dead_letter = { name = "work-dlq" } }
  alarm_actions = ["arn:aws:sns:eu-west-1:111122223333:alarms"]
}

run "has_the_defaults_that_holdfast_wants" {
  assert {
    condition     = aws_sqs_queue.this.visibility_timeout_seconds == 30
    error_message = "Visibility is 30 s."
  }

  assert {
    condition     = aws_sqs_queue.this.message_retention_seconds == 86400
    error_message = "Messages are kept for a day."
  }

  assert {
    condition     = aws_sqs_queue.this.receive_wait_time_seconds == 20
    error_message = "Receives wait for 20 s."
  }

  assert {
    condition     = alltrue([for queue in [aws_sqs_queue.this, aws_sqs_queue.overflow[0], aws_sqs_queue.dead_letter[0]] : queue.sqs_managed_sse_enabled])
    error_message = "All three queues are encrypted."
  }

  assert {
    condition     = aws_sqs_queue.dead_letter[0].message_retention_seconds == 1209600
    error_message = "Dead letters are kept for 14 days."
  }
}

run "the_queues_name_each_other" {
  assert {
    condition = jsondecode(aws_sqs_queue.this.redrive_policy) == {
      deadLetterTargetArn = "arn:aws:sqs:eu-west-1:111122223333:work-dlq"
      maxReceiveCount     = 3
    }
    error_message = "The third receive is the last one."
  }

  assert {
    condition = jsondecode(aws_sqs_queue_redrive_allow_policy.dead_letter[0].redrive_allow_policy) == {
      redrivePermission = "byQueue"
      sourceQueueArns   = ["arn:aws:sqs:eu-west-1:111122223333:work", "arn:aws:sqs:eu-west-1:111122223333:work-overflow"]
    }
    error_message = "Only its own queues may use the dead-letter queue."
  }

  assert {
    condition = (
      aws_sqs_queue.overflow[0].name == "work-overflow"
      && aws_sqs_queue.overflow[0].redrive_policy == aws_sqs_queue.this.redrive_policy
      && aws_sqs_queue.overflow[0].visibility_timeout_seconds == aws_sqs_queue.this.visibility_timeout_seconds
    )
    error_message = "The overflow queue is like the other."
  }
}

run "refuses_what_is_not_encrypted_in_transit" {
  assert {
    condition     = keys(aws_sqs_queue_policy.tls_only) == ["dead_letter", "overflow", "source"]
    error_message = "Each queue has a policy."
  }

  assert {
    condition = alltrue([
      for policy in aws_sqs_queue_policy.tls_only : jsondecode(policy.policy).Statement == [{
        Sid       = "RefuseWhatIsNotEncryptedInTransit"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = replace(policy.queue_url, "https://sqs/", "arn:aws:sqs:eu-west-1:111122223333:")
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }]
    ])
    error_message = "The policy of each queue denies everything without TLS, on that queue."
  }
}

run "watches_age_and_dead_letters" {
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.age[0].metric_name == "ApproximateAgeOfOldestMessage"
      && aws_cloudwatch_metric_alarm.age[0].dimensions == tomap({ QueueName = "work" })
      && aws_cloudwatch_metric_alarm.age[0].threshold == 300
    )
    error_message = "The age alarm is on the queue."
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.dead_letters[0].metric_name == "ApproximateNumberOfMessagesVisible"
      && aws_cloudwatch_metric_alarm.dead_letters[0].dimensions == tomap({ QueueName = "work-dlq" })
    )
    error_message = "The other one is on what is visible in the dead-letter queue: NumberOfMessagesSent does not count redriven ones."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.dead_letters[0].alarm_actions == toset(["arn:aws:sns:eu-west-1:111122223333:alarms"])
    error_message = "Somebody is told."
  }
}

run "the_journal_keeps_everything_and_redrives_nothing" {
  variables {
    queue = { name = "journal", message_retention_seconds = 1209600 }
  }

  assert {
    condition     = length(aws_sqs_queue.dead_letter) == 0 && length(aws_sqs_queue.overflow) == 0 && length(aws_cloudwatch_metric_alarm.dead_letters) == 0
    error_message = "There is no dead-letter queue, and nothing overflows."
  }

  assert {
    condition     = length(aws_sqs_queue_redrive_allow_policy.dead_letter) == 0 && keys(aws_sqs_queue_policy.tls_only) == ["source"]
    error_message = "The queue has its own policy only."
  }
}

run "a_prefix_goes_before_both_names" {
  variables {
    name_prefix    = "blue-"
    alarms_enabled = false
  }

  assert {
    condition     = output.name == "blue-work" && output.dead_letter_name == "blue-work-dlq"
    error_message = "Both names have the prefix."
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.age) == 0 && length(aws_cloudwatch_metric_alarm.dead_letters) == 0
    error_message = "Alarms are off."
  }
}

run "letters_must_outlive_messages" {
  command = plan

  variables {
    queue = {
      name                      = "work"
      message_retention_seconds = 345600
      dead_letter               = { name = "work-dlq", message_retention_seconds = 345600 }
    }
  }

  expect_failures = [aws_sqs_queue.dead_letter]
}

run "without_dead_letters_nothing_may_expire_early" {
  command = plan

  variables {
    queue = { name = "work" }
  }

  expect_failures = [var.queue]
}

run "fifo_goes_with_fifo" {
  command = plan

  variables {
    queue = { name = "work.fifo", dead_letter = { name = "work-dlq" } }
  }

  expect_failures = [var.queue]
}
