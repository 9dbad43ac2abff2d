mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  cluster_name = "cluster"
  service_name = "worker"
  min_tasks    = 1
  max_tasks    = 8
  queues = {
    work = {
      name                   = "holdfast-work"
      accepted_delay_seconds = 10
      concurrency            = 256
      mean_handling_seconds  = 0.5
      oldest_message_seconds = 120
    }
  }
}

run "a_task_is_given_what_it_gets_done_in_time" {
  assert {
    condition     = output.backlog_per_task["work"] == 5120
    error_message = "Ten seconds of 256 messages at a time that take half a second each are 5120."
  }

  assert {
    condition     = aws_appautoscaling_policy.backlog["work"].target_tracking_scaling_policy_configuration[0].target_value == 5120
    error_message = "That is the target."
  }

  assert {
    condition = (
      aws_appautoscaling_policy.backlog["work"].target_tracking_scaling_policy_configuration[0].scale_out_cooldown == 60
      && aws_appautoscaling_policy.backlog["work"].target_tracking_scaling_policy_configuration[0].scale_in_cooldown == 300
    )
    error_message = "More at once, fewer with care."
  }
}

run "the_backlog_is_shared_by_the_tasks_that_run" {
  assert {
    condition = [
      for metric in one(aws_appautoscaling_policy.backlog["work"].target_tracking_scaling_policy_configuration[0].customized_metric_specification).metrics :
      metric.expression if metric.return_data
    ] == ["FILL(visible, 0) / IF(FILL(tasks, 0) > 0, FILL(tasks, 0), 1)"]
    error_message = "Missing figures count as nothing, and nothing is never a divisor."
  }

  assert {
    condition = alltrue([
      for metric in one(aws_appautoscaling_policy.backlog["work"].target_tracking_scaling_policy_configuration[0].customized_metric_specification).metrics :
      tomap({ for one in metric.metric_stat[0].metric[0].dimensions : one.name => one.value }) == (
        metric.id == "visible" ? tomap({ QueueName = "holdfast-work" }) : tomap({ ClusterName = "cluster", ServiceName = "worker" })
      ) if !metric.return_data
    ])
    error_message = "It looks at this queue and at this service."
  }
}

run "old_messages_add_tasks_in_steps" {
  assert {
    condition     = aws_cloudwatch_metric_alarm.age["work"].threshold == 120
    error_message = "The alarm is at the age that was given."
  }

  assert {
    condition = sort([
      for step in aws_appautoscaling_policy.age["work"].step_scaling_policy_configuration[0].step_adjustment : tostring(step.scaling_adjustment)
    ]) == tolist(["100", "50"])
    error_message = "Half as many, then twice as many."
  }

  assert {
    condition     = length(aws_appautoscaling_policy.wake) == 0 && length(aws_cloudwatch_metric_alarm.wake) == 0
    error_message = "Who never sleeps needs not be woken."
  }
}

run "the_first_message_wakes" {
  variables {
    min_tasks = 0
  }

  assert {
    condition = [
      for query in aws_cloudwatch_metric_alarm.wake["work"].metric_query : query.expression if query.return_data == true
    ] == ["IF(FILL(visible, 0) > 0 AND FILL(tasks, 0) < 1, 1, 0)"]
    error_message = "Messages and no task: only then."
  }

  assert {
    condition     = aws_appautoscaling_policy.wake[0].step_scaling_policy_configuration[0].adjustment_type == "ChangeInCapacity"
    error_message = "An exact capacity would end tasks that were started meanwhile."
  }
}

run "a_delay_that_one_message_exceeds_is_refused" {
  command = plan

  variables {
    queues = {
      work = {
        name                   = "holdfast-work"
        accepted_delay_seconds = 1
        concurrency            = 1
        mean_handling_seconds  = 5
        oldest_message_seconds = 120
      }
    }
  }

  expect_failures = [var.queues]
}
