"""GitHub's own features: pull requests, reviews, statuses, issues, quotas. Nothing else here knows PyGithub."""
