resource "aws_s3_bucket" "depot" {
  bucket = var.bucket
}

resource "aws_s3_bucket_public_access_block" "depot" {
  bucket                  = aws_s3_bucket.depot.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "depot" {
  bucket = aws_s3_bucket.depot.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "depot" {
  bucket = aws_s3_bucket.depot.id

  rule {
    bucket_key_enabled = var.kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

# What becomes a group's target is told to every instance's own queue within a moment.
resource "aws_sns_topic" "changes" {
  name = var.auto_scaling_group
  policy = templatefile("${path.module}/policies/topic.json", merge(local.names, {
    topic   = "arn:${local.names.partition}:sns:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:${var.auto_scaling_group}"
    account = data.aws_caller_identity.current.account_id
  }))
}

resource "aws_s3_bucket_notification" "changes" {
  bucket = aws_s3_bucket.depot.id

  topic {
    topic_arn     = aws_sns_topic.changes.arn
    events        = ["s3:ObjectCreated:*"]
    filter_prefix = "${var.prefix}/apps/${var.app}/groups/${var.auto_scaling_group}/"
    filter_suffix = "target.json"
  }
}
