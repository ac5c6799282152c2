"""What only GitHub has: pull requests, reviews, statuses, issues, quotas. Nothing else here knows PyGithub."""
