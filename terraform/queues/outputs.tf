output "urls" {
  description = "URLs of the queues by their key in queues.json."
  value       = { for key, queue in module.queue : key => queue.url }
}

output "environment" {
  description = "What the binaries must be told to use these queues."
  value       = { for key, queue in module.queue : "HOLDFAST__QUEUES__${upper(key)}" => queue.name }
}

output "dead_letter_urls" {
  description = "URLs of their dead-letter queues; the journal has none."
  value       = { for key, queue in module.queue : key => queue.dead_letter_url if queue.dead_letter_url != null }
}
