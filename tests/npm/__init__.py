"""What the tests have from npm, pinned with hashes in `package-lock.json`, and the scripts that use it."""
