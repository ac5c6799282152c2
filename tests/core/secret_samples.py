"""Secrets of many kinds, made up at random from what their issuers document. None is real, none stands here as such."""

from __future__ import annotations

import base64
import random
import string

DICE = random.Random(1)
DIGITS, HEX = string.digits, "0123456789abcdef"
LETTERS = string.ascii_letters + DIGITS
LOWER, UPPER = string.ascii_lowercase + DIGITS, string.ascii_uppercase + DIGITS
URL_SAFE, BASE64, BASE32 = LETTERS + "-_", LETTERS + "+/", string.ascii_uppercase + "234567"
BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"


def some(count: int, letters: str = LETTERS) -> str:
    return "".join(DICE.choice(letters) for _ in range(count))


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def uuid() -> str:
    return "-".join(some(count, HEX) for count in (8, 4, 4, 4, 12))


SAMPLES: dict[str, str] = {
    "GitHub ghp_": "ghp_" + some(36),
    "GitHub fine-grained": "github_pat_" + some(22) + "_" + some(59),
    "GitHub ghs_ JWT-like (new format)": "ghs_" + some(20) + "_" + some(60) + "." + some(40) + "." + some(40),
    "GitLab PAT": "glpat-" + some(20),
    "GitLab runner registration": "GR1348941" + some(20),
    "AWS access key id": "AKIA" + some(16, BASE32),
    "AWS secret key": "aws_secret_access_key=" + some(40, BASE64),
    "AWS session token": "aws_session_token=FwoGZXIvYXdzE" + some(200, BASE64),
    "Slack bot": "xoxb-" + some(12, DIGITS) + "-" + some(12, DIGITS) + "-" + some(24),
    "Slack app": "xapp-1-" + some(10) + "-" + some(12, DIGITS) + "-" + some(64, HEX),
    "Slack webhook": "https://hooks.slack.com/services/T" + some(8) + "/B" + some(10) + "/" + some(24),
    "OpenAI sk-": "sk-" + some(48),
    "OpenAI project": "sk-proj-" + some(80),
    "Anthropic": "sk-ant-api03-" + some(93) + "AA",
    "Hugging Face": "hf_" + some(34),
    "npm": "npm_" + some(36),
    "PyPI": "pypi-AgEIcHlwaS5vcmc" + some(120),
    "crates.io": "cio" + some(32),
    "GCP API key": "AIza" + some(35),
    "GCP service account JSON": '{"type":"service_account","private_key":"-----BEGIN PRIVATE KEY-----\\nMII'
    + some(40)
    + '\\n-----END PRIVATE KEY-----\\n"}',
    "Google OAuth": "ya29." + some(100),
    "GCP OAuth secret": "GOCSPX-" + some(28),
    "Azure storage": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + some(86, BASE64) + "==",
    "Azure DevOps new": some(76) + "AZDO" + some(4),
    "Azure AD client secret": some(3) + "8Q~" + some(34),
    "Stripe": "sk_live_" + some(24),
    "SendGrid": "SG." + some(22) + "." + some(43),
    "Twilio": "SK" + some(32, HEX),
    "Telegram bot": some(9, DIGITS) + ":AA" + some(33),
    "Discord webhook": "https://discord.com/api/webhooks/" + some(18, DIGITS) + "/" + some(68),
    "JWT": "eyJhbGciOiJIUzI1NiJ9." + some(60) + "." + some(43),
    "PEM RSA": "-----BEGIN RSA PRIVATE KEY-----\n",
    "PEM OPENSSH": "-----BEGIN OPENSSH PRIVATE KEY-----",
    "PGP": "-----BEGIN PGP PRIVATE KEY BLOCK-----",
    "PuTTY key": "PuTTY-User-Key-File-3: ssh-ed25519",
    "age key": "AGE-SECRET-KEY-1" + some(58, BECH32),
    "base64 of a PEM": base64.b64encode(b"-----BEGIN PRIVATE KEY-----\nMII").decode(),
    ".env": "DB_PASSWORD=" + some(20) + "\nAPI_KEY=" + some(30),
    "URL with password": "postgres://user:" + some(16) + "@db/x",
    "GITCOORD_KEY (hex)": "GITCOORD_KEY=" + some(64, HEX),
    "Docker Hub": "dckr_pat_" + some(27),
    "Vault": "hvs." + some(90),
    "Datadog": "DD_API_KEY=" + some(32, HEX),
    "DigitalOcean": "dop_v1_" + some(64, HEX),
    "Databricks": "dapi" + some(32, HEX),
    "Grafana": "glsa_" + some(32) + "_" + some(8, HEX),
    "Terraform Cloud": some(14) + ".atlasv1." + some(67),
    "Linear": "lin_api_" + some(40),
    "Shopify": "shpat_" + some(32, HEX),
    "GitHub token split by a zero width space": "ghp_" + some(10) + "\u200b" + some(26),
    "GitLab pipeline trigger": "glptt-" + some(40, HEX),
    "GitLab routable": "glpat-" + some(27, URL_SAFE) + ".01." + some(9, LOWER),
    "GitLab deploy": "gldt-" + some(20, URL_SAFE),
    "Bitbucket app password": "ATBB" + some(32),
    "Atlassian API token": "ATATT3xFfGF0" + some(180, URL_SAFE) + "=" + some(8, UPPER),
    "Gitea/Forgejo token": "gitea_token: " + some(40, HEX),
    "Codeberg": "FORGEJO_TOKEN=" + some(40, HEX),
    "AWS STS id": "ASIA" + some(16, BASE32),
    "AWS Bedrock long key": "ABSKQmVkcm9ja0FQSUtleS" + some(109, BASE64),
    "MWS": "amzn.mws." + uuid(),
    "Alibaba": "LTAI" + some(20),
    "Azure SAS": "https://a.blob.core.windows.net/c?sv=2022-11-02&ss=b&sig=" + some(43) + "%3D",
    "Azure SB connection": "Endpoint=sb://a.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey="
    + some(43, BASE64)
    + "=",
    "Azure cosmos": "AccountEndpoint=https://a.documents.azure.com:443/;AccountKey=" + some(86, BASE64) + "==",
    "Azure OpenAI in env": "AZURE_OPENAI_API_KEY=" + some(32, HEX),
    "GCP OAuth refresh": '"refresh_token": "1//0' + some(60, URL_SAFE) + '"',
    "Cloudflare API token": "CLOUDFLARE_API_TOKEN=" + some(40, URL_SAFE),
    "Cloudflare origin CA": "v1.0-" + some(24, HEX) + "-" + some(146, HEX),
    "DigitalOcean OAuth": "doo_v1_" + some(64, HEX),
    "Heroku": "HEROKU_API_KEY=" + uuid(),
    "Heroku new": "HRKU-AA" + some(58, URL_SAFE),
    "Fly.io": "FlyV1 fm2_" + some(120, BASE64),
    "Vercel": "VERCEL_TOKEN=" + some(24),
    "Netlify": "nfp_" + some(36),
    "Render": "rnd_" + some(28),
    "Supabase": "sbp_" + some(40, HEX),
    "PlanetScale": "pscale_tkn_" + some(43, URL_SAFE),
    "Slack user": "xoxp-" + some(12, DIGITS) + "-" + some(12, DIGITS) + "-" + some(12, DIGITS) + "-" + some(32, HEX),
    "Slack refresh": "xoxe-1-" + some(147),
    "Slack workflow": "https://hooks.slack.com/workflows/T"
    + some(9)
    + "/A"
    + some(10)
    + "/"
    + some(18, DIGITS)
    + "/"
    + some(24),
    "Teams webhook": "https://a.webhook.office.com/webhookb2/"
    + uuid()
    + "@"
    + uuid()
    + "/IncomingWebhook/"
    + some(32, HEX)
    + "/"
    + uuid(),
    "Discord bot": "M" + some(23) + "." + some(6) + "." + some(38, URL_SAFE),
    "Stripe restricted": "rk_live_" + some(99),
    "Stripe test": "sk_test_" + some(24),
    "Stripe webhook": "whsec_" + some(32),
    "Square": "EAAA" + some(60, URL_SAFE),
    "Square secret": "sq0csp-" + some(43, URL_SAFE),
    "PayPal/Braintree": "access_token$production$" + some(16, LOWER) + "$" + some(32, HEX),
    "Twilio auth": "TWILIO_AUTH_TOKEN=" + some(32, HEX),
    "Mailgun": "key-" + some(32, HEX),
    "Mailchimp": some(32, HEX) + "-us12",
    "Postmark": "POSTMARK_SERVER_TOKEN: " + uuid(),
    "Brevo": "xkeysib-" + some(64, HEX) + "-" + some(16),
    "Anthropic admin": "sk-ant-admin01-" + some(93, URL_SAFE) + "AA",
    "OpenAI service account": "sk-svcacct-" + some(58) + "T3BlbkFJ" + some(58),
    "Groq": "gsk_" + some(52),
    "xAI": "xai-" + some(80),
    "Perplexity": "pplx-" + some(48),
    "Replicate": "r8_" + some(37),
    "OpenRouter": "sk-or-v1-" + some(64, HEX),
    "Gemini new": "AQ.Ab8RN6" + some(44, URL_SAFE),
    "LangSmith": "lsv2_pt_" + some(32, HEX) + "_" + some(10, HEX),
    "Cohere in env": "COHERE_API_KEY=" + some(40),
    "Mistral in env": "MISTRAL_API_KEY=" + some(32),
    "DeepSeek": "sk-" + some(32, HEX),
    "Fireworks": "fw_" + some(24),
    "W&B": "WANDB_API_KEY=" + some(40, HEX),
    "NVIDIA": "nvapi-" + some(64, URL_SAFE),
    "RubyGems": "rubygems_" + some(48, HEX),
    "NuGet": "oy2" + some(43, LOWER),
    "test.pypi": "pypi-AgENdGVzdC5weXBpLm9yZw" + some(120, URL_SAFE),
    "Clojars": "CLOJARS_" + some(60, HEX),
    "JFrog": "AKCp8" + some(68),
    "JFrog ref": "cmVmd" + some(59),
    ".npmrc": "//registry.example.com/:_authToken=" + uuid(),
    ".npmrc _auth": "//r.example.com/:_auth=" + b64(("me:" + some(12))),
    ".netrc": "machine api.example.com login me password " + some(14),
    "pypirc": "[pypi]\nusername = __token__\npassword = " + some(30),
    "docker auth": '{"auths": {"r.example.com": {"auth": "' + b64(("me:" + some(16))) + '"}}}',
    "kubeconfig token": "users:\n- name: a\n  user:\n    token: " + some(50, URL_SAFE),
    "kubeconfig client key": "client-key-data: LS0tLS1CRUdJTi" + some(200, BASE64),
    "k8s secret yaml": "kind: Secret\ndata:\n  password: " + b64(some(16)),
    "k8s service account": "eyJhbGciOiJSUzI1NiIsImtpZCI6I"
    + some(30)
    + "."
    + "eyJ"
    + some(200, URL_SAFE)
    + "."
    + some(342, URL_SAFE),
    "EC key": "-----BEGIN EC PRIVATE KEY-----",
    "DSA": "-----BEGIN DSA PRIVATE KEY-----",
    "ENCRYPTED": "-----BEGIN ENCRYPTED PRIVATE KEY-----",
    "SSH2": "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----",
    "JWK": '{"kty":"OKP","crv":"Ed25519","x":"' + some(43, URL_SAFE) + '","d":"' + some(43, URL_SAFE) + '"}',
    "WireGuard": "[Interface]\nPrivateKey = " + some(43, BASE64) + "=",
    "age pq": "AGE-SECRET-KEY-PQ-1" + some(58, BECH32),
    "minisign": "untrusted comment: minisign encrypted secret key\nRWRTY0Iy" + some(200, BASE64),
    "OpenSSH body b64": "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ" + some(60, BASE64),
    "nostr nsec": "nsec1" + some(58, BECH32.lower()),
    "BIP32 xprv": "xprv9s21ZrQH143K" + some(95),
    "PKCS12 b64 assign": "KEYSTORE_PASSWORD: '" + some(12) + "'",
    "URL https token": "https://oauth2:" + some(20) + "@gitlab.example.com/a/b.git",
    "URL user only token": "https://" + "ghp_" + some(36) + "@github.com/a/b",
    "redis": "redis://:" + some(20) + "@cache:6379/0",
    "mongodb+srv": "mongodb+srv://admin:" + some(14) + "@c0.mongodb.net/db",
    "amqp": "amqps://u:" + some(12) + "@mq/v",
    "jdbc": "jdbc:postgresql://db/x?user=a&password=" + some(14),
    "ADO.NET": "Server=tcp:db,1433;User ID=sa;Password=" + some(10) + "!;Encrypt=True",
    "odbc PWD": "Driver={SQL Server};UID=sa;PWD=" + some(12) + ";",
    "Basic header": "Authorization: Basic " + b64(("admin:" + some(12))),
    "Bearer header": "Authorization: Bearer " + some(40, URL_SAFE),
    "curl -u": "curl -u admin:" + some(14) + " https://a.example/x",
    "X-Api-Key": "X-Api-Key: " + some(32),
    "json password": '{"user":"a","password":"' + some(12) + '"}',
    "yaml secret": "client_secret: " + some(32),
    "python": 'SECRET_KEY = "django-insecure-' + some(50) + '"',
    "export": "export API_TOKEN='" + some(24) + "'",
    "passphrase": 'passphrase = "' + some(16) + '"',
    "camel": 'const apiKey = "' + some(32) + '"',
    "dotnet": '"ClientSecret": "' + some(34, URL_SAFE) + '"',
    "words: password is": "the password is " + some(14),
    "GITCOORD_HMAC_KEY b64": "GITCOORD_HMAC_KEY=" + some(43, URL_SAFE),
    "GITCOORD_TOKEN": "GITCOORD_TOKEN=" + some(40),
    "Sentry user": "sntryu_" + some(64, HEX),
    "Sentry org": "sntrys_eyJ" + some(100) + "=_" + some(43),
    "New Relic": "NRAK-" + some(27, UPPER),
    "Grafana cloud": "glc_eyJ" + some(80),
    "PagerDuty": "PAGERDUTY_API_KEY=u+" + some(18),
    "Honeycomb": "hcaik_01" + some(56, LOWER),
    "Algolia": "ALGOLIA_ADMIN_KEY=" + some(32, HEX),
    "Doppler": "dp.pt." + some(43),
    "Infisical": "st.a." + some(60),
    "1Password": "ops_eyJ" + some(300),
    "Vault batch": "hvb." + some(140),
    "Vault old": "VAULT_TOKEN=s." + some(24),
    "Pulumi": "pul-" + some(40, HEX),
    "Notion": "ntn_" + some(11, DIGITS) + some(35),
    "Notion old": "secret_" + some(43),
    "Airtable": "pat" + some(14) + "." + some(64, HEX),
    "Asana": "1/" + some(16, DIGITS) + ":" + some(32, HEX) + " asana_token",
    "Figma": "figd_" + some(40, URL_SAFE),
    "Postman": "PMAK-" + some(24, HEX) + "-" + some(34, HEX),
    "Shopify secret": "shpss_" + some(32, HEX),
    "Shippo": "shippo_live_" + some(40, HEX),
    "EasyPost": "EZAK" + some(54),
    "Plaid": "access-production-" + uuid(),
    "Facebook": "EAACEdEose0cBA" + some(120),
    "Dropbox": "sl." + some(137, URL_SAFE),
    "Adobe": "p8e-" + some(32),
    "Typeform": "tfp_" + some(44, URL_SAFE),
    "Prefect": "pnu_" + some(36),
    "ReadMe": "rdme_" + some(70, LOWER),
    "Lob": "live_" + some(35, HEX) + " lob",
    "Dynatrace": "dt0c01." + some(24, UPPER) + "." + some(64, UPPER),
    "Okta": "OKTA_API_TOKEN=00" + some(40, URL_SAFE),
    "Confluent": "confluent secret = " + some(64, BASE64),
    "Snyk": "SNYK_TOKEN=" + uuid(),
    "Sonar": "sqp_" + some(40, HEX),
    "Codecov": "CODECOV_TOKEN=" + uuid(),
    "CircleCI": "CCIPAT_" + some(22) + "_" + some(40, HEX),
    "Buildkite": "bkua_" + some(40, HEX),
    "Tailscale": "tskey-auth-" + some(16) + "-" + some(32),
    "ngrok": "NGROK_AUTHTOKEN=2" + some(26) + "_" + some(21),
    "Mapbox": "sk.eyJ1Ijoi" + some(60) + "." + some(22),
    "Resend": "re_" + some(8) + "_" + some(24),
}
