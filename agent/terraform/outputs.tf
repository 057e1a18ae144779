output "depot" {
  description = "MUSTER_DEPOT for those who publish."
  value       = "s3://${aws_s3_bucket.depot.id}/${var.prefix}"
}

output "topic" {
  value = aws_sns_topic.changes.arn
}

output "instance_profile" {
  value = aws_iam_instance_profile.instance.name
}

output "publisher_policy" {
  value = aws_iam_policy.publisher.arn
}

output "operator_policy" {
  value = aws_iam_policy.operator.arn
}

output "configuration" {
  description = "/etc/muster/muster.conf of the instances."
  value = templatefile("${path.module}/muster.conf", merge(local.names, {
    topic = aws_sns_topic.changes.arn
    role  = aws_iam_role.instance.unique_id
  }))
}
