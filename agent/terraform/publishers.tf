# For the build server: it can make and sign releases, and not say what runs.
resource "aws_iam_policy" "publisher" {
  name   = "${var.auto_scaling_group}-muster-publisher"
  policy = templatefile("${path.module}/policies/publisher.json", local.names)
}

# For whoever may say what runs.
resource "aws_iam_policy" "operator" {
  name   = "${var.auto_scaling_group}-muster-operator"
  policy = templatefile("${path.module}/policies/operator.json", local.names)
}
