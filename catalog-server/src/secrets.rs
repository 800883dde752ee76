//! Secrets at rest: encryption with AES-256-GCM under a key that is not in the database.
//!
//! The key file has one key a line, each of 32 bytes in Base64. The first one encrypts, and all of them decrypt, so
//! that a key is replaced by a new first line. Without a configured file, one is created in the data directory when
//! the first secret is stored.

use std::fmt;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Version of the form of encrypted secrets.
const VERSION: u8 = 1;
/// Length of the id of a key in an encrypted secret, in bytes.
const KEY_ID_BYTES: usize = 8;
/// Length of a key in bytes.
const KEY_BYTES: usize = 32;
/// Maximum size of the key file, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Keys for secrets. Clones share them.
#[derive(Clone, Debug)]
pub struct SecretKeys {
    file: PathBuf,
    /// `true` if the file may be created.
    is_default: bool,
    keys: Arc<Mutex<Vec<Key>>>,
}

/// Key with its id.
struct Key {
    id: [u8; KEY_ID_BYTES],
    key: LessSafeKey,
}

/// Error of encrypting or decrypting a secret. It contains no part of the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The key file cannot be read, created or used.
    #[error("the key file `{file}` {reason}")]
    File {
        /// Path of the file.
        file: String,
        /// Problem, as the end of a sentence.
        reason: String,
    },
    /// The secret was encrypted with a key that is not in the file.
    #[error(
        "a stored secret was encrypted with a key that is not in `{0}`; all servers of a catalog need the same file \
         (`secrets.key-file`), with former keys below the first line"
    )]
    OtherKey(String),
    /// The secret is damaged, or belongs to another object.
    #[error("a stored secret is damaged or belongs to another object")]
    Damaged,
}

impl SecretKeys {
    /// Creates the access to the keys in `configured`, or else in `secrets.key` in the data directory. Nothing is
    /// read before a secret is.
    pub fn new(configured: Option<&Path>, data_dir: &Path) -> SecretKeys {
        let (file, is_default) = match configured {
            Some(file) => (file.to_owned(), false),
            None => (data_dir.join("secrets.key"), true),
        };
        SecretKeys { file, is_default, keys: Arc::default() }
    }

    /// Encrypts a secret of the object `owner`. It cannot be decrypted as one of another object. Blocks while the key
    /// file is read or created.
    ///
    /// # Errors
    ///
    /// Fails with [`SecretError::File`] if the key file cannot be read or created.
    pub fn encrypt(&self, owner: Uuid, secret: &[u8]) -> Result<Vec<u8>, SecretError> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.is_empty() {
            *keys = self.read_or_create()?;
        }
        let key = keys.first().ok_or_else(|| self.unusable("has no key".to_owned()))?;
        let nonce: [u8; NONCE_LEN] = self.random()?;
        let mut sealed = secret.to_vec();
        let encrypted = key.key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(owner.as_bytes()),
            &mut sealed,
        );
        encrypted.map_err(|_| self.unusable("has a key that cannot encrypt".to_owned()))?;
        Ok([&[VERSION][..], &key.id, &nonce, &sealed].concat())
    }

    /// Decrypts a secret of the object `owner`. Blocks while the key file is read.
    ///
    /// # Errors
    ///
    /// Fails with [`SecretError::File`] if the key file cannot be read, with [`SecretError::OtherKey`] if it does not
    /// have the key, and with [`SecretError::Damaged`] if the text is not a secret of the object.
    pub fn decrypt(&self, owner: Uuid, encrypted: &[u8]) -> Result<Vec<u8>, SecretError> {
        let rest = encrypted.strip_prefix(&[VERSION]).ok_or(SecretError::Damaged)?;
        let (key_id, rest) = rest.split_at_checked(KEY_ID_BYTES).ok_or(SecretError::Damaged)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).ok_or(SecretError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SecretError::Damaged)?;
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.iter().any(|key| key.id == key_id) {
            // Another server may have put a new key into the file.
            *keys = self.read()?;
        }
        let key = keys.iter().find(|key| key.id == key_id);
        let key = key.ok_or_else(|| SecretError::OtherKey(self.file.display().to_string()))?;
        let mut secret = sealed.to_vec();
        let opened = key.key.open_in_place(nonce, Aad::from(owner.as_bytes()), &mut secret);
        let length = opened.map_err(|_| SecretError::Damaged)?.len();
        secret.truncate(length);
        Ok(secret)
    }

    fn read_or_create(&self) -> Result<Vec<Key>, SecretError> {
        if !self.is_default || self.file.exists() {
            return self.read();
        }
        let text = format!("{}\n", STANDARD.encode(self.random::<KEY_BYTES>()?));
        let created = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.file);
        let written = created.and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            let folder = self.file.parent().unwrap_or(Path::new("."));
            std::fs::File::open(folder)?.sync_all()
        });
        match written {
            // Another server of the same data directory was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.read(),
            Err(error) => Err(self.unusable(format!("cannot be created: {error}"))),
            Ok(()) => self.read(),
        }
    }

    fn read(&self) -> Result<Vec<Key>, SecretError> {
        let metadata = std::fs::metadata(&self.file);
        let size = metadata.map_err(|error| self.unusable(format!("cannot be read: {error}")))?.len();
        if size > FILE_BYTES_MAX {
            return Err(self.unusable(format!("is larger than {FILE_BYTES_MAX} bytes")));
        }
        let text = std::fs::read_to_string(&self.file);
        let text = text.map_err(|error| self.unusable(format!("cannot be read: {error}")))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys = lines.map(Key::parse).collect::<Option<Vec<_>>>();
        let keys = keys.filter(|keys| !keys.is_empty());
        keys.ok_or_else(|| {
            self.unusable("must have lines of 32 bytes in Base64 (`openssl rand -base64 32`)".to_owned())
        })
    }

    fn random<const LENGTH: usize>(&self) -> Result<[u8; LENGTH], SecretError> {
        let mut bytes = [0; LENGTH];
        let filled = SystemRandom::new().fill(&mut bytes);
        filled.map_err(|_| self.unusable("cannot be used: the system has no random numbers".to_owned()))?;
        Ok(bytes)
    }

    fn unusable(&self, reason: String) -> SecretError {
        SecretError::File { file: self.file.display().to_string(), reason }
    }
}

impl Key {
    fn parse(line: &str) -> Option<Key> {
        let bytes: [u8; KEY_BYTES] = STANDARD.decode(line).ok()?.try_into().ok()?;
        let id = *Sha256::digest(bytes).first_chunk()?;
        Some(Key { id, key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).ok()?) })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Key").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_read_only_for_its_owner_and_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let keys = SecretKeys::new(None, folder.path());
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let encrypted = keys.encrypt(one, b"hidden").unwrap();
        assert!(!encrypted.windows(6).any(|window| window == b"hidden"));
        assert_ne!(encrypted, keys.encrypt(one, b"hidden").unwrap());
        let file = folder.path().join("secrets.key");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        // Another process reads the same file.
        let again = SecretKeys::new(None, folder.path());
        assert_eq!(again.decrypt(one, &encrypted).unwrap(), b"hidden");
        assert_eq!(again.decrypt(other, &encrypted), Err(SecretError::Damaged));
        for length in 0..encrypted.len() {
            assert!(again.decrypt(one, &encrypted[..length]).is_err());
            let mut changed = encrypted.clone();
            changed[length] ^= 1;
            assert!(again.decrypt(one, &changed).is_err());
        }
        let elsewhere = tempfile::tempdir().unwrap();
        let foreign = SecretKeys::new(None, elsewhere.path());
        foreign.encrypt(one, b"x").unwrap();
        assert!(matches!(foreign.decrypt(one, &encrypted), Err(SecretError::OtherKey(_))));
    }

    #[test]
    fn a_new_first_line_encrypts_and_the_others_decrypt() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Uuid::from_u128(1);
        let file = folder.path().join("keys");
        let line = |byte: u8| STANDARD.encode([byte; KEY_BYTES]);
        std::fs::write(&file, line(1)).unwrap();
        let keys = SecretKeys::new(Some(&file), folder.path());
        let former = keys.encrypt(owner, b"a").unwrap();
        std::fs::write(&file, format!("{}\n\n{}\n", line(2), line(1))).unwrap();
        let rotated = SecretKeys::new(Some(&file), folder.path());
        let current = rotated.encrypt(owner, b"b").unwrap();
        assert_eq!(rotated.decrypt(owner, &former).unwrap(), b"a");
        // A server that runs learns of the new key.
        assert_eq!(keys.decrypt(owner, &current).unwrap(), b"b");
        for text in ["", "short", &format!("{}\nshort", line(1))] {
            std::fs::write(&file, text).unwrap();
            let broken = SecretKeys::new(Some(&file), folder.path()).encrypt(owner, b"a");
            assert!(matches!(broken, Err(SecretError::File { .. })), "{text}");
        }
        std::fs::remove_file(&file).unwrap();
        // A configured file is not created: its absence is a mistake.
        assert!(SecretKeys::new(Some(&file), folder.path()).encrypt(owner, b"a").is_err());
    }
}
