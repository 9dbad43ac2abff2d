mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name               = "holdfast-test"
  region             = "eu-west-1"
  account_id         = "111122223333"
  kms_key_arn        = "arn:aws:kms:eu-west-1:111122223333:key/1"
  emails             = ["on-call@example.com"]
  queues             = { work = { name = "holdfast-work", dead_letter_name = "holdfast-work-dlq" }, journal = { name = "holdfast-journal", dead_letter_name = null } }
  journal_queue_name = "holdfast-journal"
  cluster_name       = "cluster"
  services = {
    holdfast-test-api         = { min_tasks = 2, log_group_name = "/ecs/holdfast-test-api" }
    holdfast-test-worker-work = { min_tasks = 0, log_group_name = "/ecs/holdfast-test-worker-work" }
  }
  load_balancer = { arn_suffix = "app/any/0", target_group_arn_suffix = "targetgroup/any/0" }
  database      = { cluster_id = "holdfast-test", max_connections = 1000 }
}

run "everybody_is_told_of_every_alarm" {
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset([output.topic_arn])])
    error_message = "Each alarm goes to the topic."
  }

  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == var.kms_key_arn && length(aws_sns_topic_subscription.email) == 1
    error_message = "The topic is encrypted, and somebody reads it."
  }
}

run "services_that_may_sleep_are_not_missed" {
  assert {
    condition = (
      contains(output.alarm_names, "holdfast-test-api-tasks")
      && !contains(output.alarm_names, "holdfast-test-worker-work-tasks")
    )
    error_message = "Only who must run is missed."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["database-connections"].threshold == 800
    error_message = "Four fifths of the connections."
  }
}

run "errors_are_counted_in_every_log" {
  assert {
    condition     = length(aws_cloudwatch_log_metric_filter.this) == 4
    error_message = "Two counts for each of two services."
  }
}

run "every_queue_is_on_the_dashboard" {
  assert {
    condition = alltrue([
      for name in ["holdfast-work", "holdfast-work-dlq", "holdfast-journal"] : strcontains(output.dashboard_body, "\"${name}\"")
    ])
    error_message = "Queues and dead-letter queues have charts."
  }

  assert {
    condition = alltrue([
      for widget in jsondecode(output.dashboard_body).widgets : length(widget.properties.metrics) > 0 if widget.type == "metric"
    ])
    error_message = "No chart is empty."
  }
}
