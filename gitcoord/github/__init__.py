"""GitHub's own features: pull requests, reviews, statuses, issues, quotas. Only this package imports PyGithub."""
