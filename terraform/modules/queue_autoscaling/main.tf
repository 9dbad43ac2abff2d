locals {
  # What one task gets done within the delay that is accepted.
  backlog_per_task = {
    for key, queue in var.queues :
    key => floor(queue.accepted_delay_seconds * queue.concurrency / queue.mean_handling_seconds)
  }

  # SQS reports nothing about a queue that was idle for hours, Container Insights nothing about a service without tasks.
  visible = "FILL(visible, 0)"
  tasks   = "FILL(tasks, 0)"

  service = { ClusterName = var.cluster_name, ServiceName = var.service_name }
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${var.cluster_name}/${var.service_name}"
  min_capacity       = var.min_tasks
  max_capacity       = var.max_tasks
}

resource "aws_appautoscaling_policy" "backlog" {
  for_each = var.queues

  name               = "${var.service_name}-${each.key}-backlog"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = local.backlog_per_task[each.key]
    scale_out_cooldown = var.scale_out_cooldown_seconds
    scale_in_cooldown  = var.scale_in_cooldown_seconds

    customized_metric_specification {
      metrics {
        id          = "visible"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "AWS/SQS"
            metric_name = "ApproximateNumberOfMessagesVisible"

            dimensions {
              name  = "QueueName"
              value = each.value.name
            }
          }
        }
      }

      metrics {
        id          = "tasks"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"

            dynamic "dimensions" {
              for_each = local.service

              content {
                name  = dimensions.key
                value = dimensions.value
              }
            }
          }
        }
      }

      metrics {
        id          = "backlog"
        label       = "Messages per task"
        expression  = "${local.visible} / IF(${local.tasks} > 0, ${local.tasks}, 1)"
        return_data = true
      }
    }
  }
}

# A few messages that take very long make no backlog, but they get old.
resource "aws_appautoscaling_policy" "age" {
  for_each = var.queues

  name               = "${var.service_name}-${each.key}-age"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  step_scaling_policy_configuration {
    adjustment_type          = "PercentChangeInCapacity"
    min_adjustment_magnitude = 1
    metric_aggregation_type  = "Maximum"
    cooldown                 = var.scale_out_cooldown_seconds

    # Bounds are relative to the alarm's threshold: up to twice the age, and beyond.
    step_adjustment {
      metric_interval_lower_bound = 0
      metric_interval_upper_bound = each.value.oldest_message_seconds
      scaling_adjustment          = 50
    }

    step_adjustment {
      metric_interval_lower_bound = each.value.oldest_message_seconds
      scaling_adjustment          = 100
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "age" {
  for_each = var.queues

  alarm_name          = "${var.service_name}-${each.key}-scale-age"
  alarm_description   = "Adds tasks: the oldest message of ${each.value.name} is over ${each.value.oldest_message_seconds} s old."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = each.value.name }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.oldest_message_seconds
  period              = 60
  evaluation_periods  = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.age[each.key].arn]
}

# Target tracking multiplies what runs, and nothing times anything is nothing.
resource "aws_appautoscaling_policy" "wake" {
  count = var.min_tasks == 0 ? 1 : 0

  name               = "${var.service_name}-wake"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  step_scaling_policy_configuration {
    # Not an exact capacity, which would end tasks that were started meanwhile.
    adjustment_type         = "ChangeInCapacity"
    metric_aggregation_type = "Maximum"
    cooldown                = var.scale_out_cooldown_seconds

    step_adjustment {
      metric_interval_lower_bound = 0
      scaling_adjustment          = 1
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "wake" {
  for_each = var.min_tasks == 0 ? var.queues : {}

  alarm_name          = "${var.service_name}-${each.key}-scale-wake"
  alarm_description   = "Starts the first task: there are messages in ${each.value.name} and nobody to receive them."
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.wake[0].arn]

  metric_query {
    id          = "asleep"
    label       = "Messages and no task"
    expression  = "IF(${local.visible} > 0 AND ${local.tasks} < 1, 1, 0)"
    return_data = true
  }

  metric_query {
    id = "visible"

    metric {
      namespace   = "AWS/SQS"
      metric_name = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = each.value.name }
      stat        = "Maximum"
      period      = 60
    }
  }

  metric_query {
    id = "tasks"

    metric {
      namespace   = "ECS/ContainerInsights"
      metric_name = "RunningTaskCount"
      dimensions  = local.service
      stat        = "Maximum"
      period      = 60
    }
  }
}
