//! Policies of a channel's configuration: whose signatures allow what.

mod principal;
mod rule;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gossip_proto::common::implicit_meta_policy::Rule as Meta;
use gossip_proto::common::policy::PolicyType;
use gossip_proto::common::{self, ConfigGroup, ImplicitMetaPolicy, SignaturePolicyEnvelope};
use prost::Message;

use crate::error::ConfigError;
use crate::identities::Valid;
use crate::msp::MspLevel;

use self::rule::SignaturePolicy;

/// Why signatures do not allow what they were given for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PolicyError {
    /// There is no policy of this path, so nobody satisfies it (C-43).
    Missing(String),
    /// The policy of this path holds not.
    NotSatisfied {
        /// The policy's path, such as `/Channel/Application/Readers`.
        policy: String,
        /// How many different valid identities signed.
        signers: usize,
    },
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(policy) => write!(f, "no policy {policy:?}"),
            Self::NotSatisfied { policy, signers } => {
                write!(f, "policy {policy} is not satisfied by {signers} valid signers")
            }
        }
    }
}

impl std::error::Error for PolicyError {}

/// The policies of a group of the configuration, and of the groups below it.
#[derive(Debug, Default)]
pub(crate) struct PolicyTree {
    policies: BTreeMap<String, Policy>,
    groups: BTreeMap<String, PolicyTree>,
}

/// One policy, checked as far as Fabric checks it before it is used.
#[derive(Debug)]
enum Policy {
    Signature(SignaturePolicy),
    /// So many of the policies of this name in the groups below.
    Implicit {
        name: String,
        needed: Needed,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Needed {
    Any,
    All,
    Majority,
}

impl PolicyTree {
    /// Reads the policies of `group`, which `path` names in errors, and of those below it.
    ///
    /// Principals are read by the rules of this level.
    pub(crate) fn new(
        path: &str,
        group: &ConfigGroup,
        level: MspLevel,
    ) -> Result<Self, ConfigError> {
        let mut tree = Self::default();
        for (name, below) in &group.groups {
            tree.groups.insert(name.clone(), Self::new(&format!("{path}/{name}"), below, level)?);
        }
        for (name, policy) in &group.policies {
            let fail = |problem| ConfigError::new(format!("{path}/{name}"), problem);
            let policy = policy.policy.as_ref().ok_or_else(|| fail("policy is empty".into()))?;
            tree.policies.insert(name.clone(), Policy::new(policy, level).map_err(fail)?);
        }
        Ok(tree)
    }

    /// Judges by the policy of an absolute path; these signed, each one once.
    pub(crate) fn evaluate(&self, path: &str, signers: &[Arc<Valid>]) -> Result<(), PolicyError> {
        let found = self.find_absolute(path);
        let (owner, policy) = found.ok_or_else(|| PolicyError::Missing(path.to_owned()))?;
        match policy.holds(owner, signers) {
            true => Ok(()),
            false => {
                Err(PolicyError::NotSatisfied { policy: path.to_owned(), signers: signers.len() })
            }
        }
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.find_absolute(path).is_some()
    }

    fn find_absolute(&self, path: &str) -> Option<(&Self, &Policy)> {
        self.find(path.strip_prefix(ROOT)?.strip_prefix('/')?)
    }

    /// Finds a policy and the group it belongs to.
    fn find(&self, relative: &str) -> Option<(&Self, &Policy)> {
        match relative.split_once('/') {
            None => Some((self, self.policies.get(relative)?)),
            Some((group, rest)) => self.groups.get(group)?.find(rest),
        }
    }
}

impl Policy {
    fn new(policy: &common::Policy, level: MspLevel) -> Result<Self, String> {
        match PolicyType::try_from(policy.r#type) {
            Ok(PolicyType::Signature) => {
                if policy.value.len() > POLICY_LEN_MAX {
                    let length = policy.value.len();
                    return Err(format!("{length} bytes, expected at most {POLICY_LEN_MAX}"));
                }
                let envelope = SignaturePolicyEnvelope::decode(policy.value.clone());
                let envelope = envelope.map_err(|error| format!("signature policy: {error}"))?;
                SignaturePolicy::new(&envelope, level).map(Self::Signature)
            }
            Ok(PolicyType::ImplicitMeta) => {
                let meta = ImplicitMetaPolicy::decode(policy.value.clone());
                let meta = meta.map_err(|error| format!("implicit-meta policy: {error}"))?;
                // Fabric takes an unknown rule for one that nothing fails (S13.4.e).
                let needed = match Meta::try_from(meta.rule) {
                    Ok(Meta::Any) => Needed::Any,
                    Ok(Meta::All) => Needed::All,
                    Ok(Meta::Majority) => Needed::Majority,
                    Err(_) => {
                        return Err(format!("rule {}, expected ANY, ALL or MAJORITY", meta.rule));
                    }
                };
                Ok(Self::Implicit { name: meta.sub_policy, needed })
            }
            Ok(PolicyType::Unknown | PolicyType::Msp) | Err(_) => Err(format!(
                "policy of type {}, expected 1, of signatures, or 3, implicit-meta",
                policy.r#type
            )),
        }
    }

    /// Whether the policy holds, which belongs to the group `owner`.
    fn holds(&self, owner: &PolicyTree, signers: &[Arc<Valid>]) -> bool {
        let (name, needed) = match self {
            Self::Signature(policy) => return policy.holds(signers),
            Self::Implicit { name, needed } => (name, needed),
        };
        let groups = owner.groups.len();
        let needed = match needed {
            // Where there is no group, nothing is asked for (S13.4.d).
            _ if groups == 0 => 0,
            Needed::Any => 1,
            Needed::All => groups,
            Needed::Majority => groups / 2 + 1,
        };
        let holds = |group: &&PolicyTree| {
            group.find(name).is_some_and(|(owner, policy)| policy.holds(owner, signers))
        };
        owner.groups.values().filter(holds).take(needed).count() == needed
    }
}

/// The group that all absolute paths begin with.
pub(crate) const ROOT: &str = "/Channel";

/// The longest signature policy, in bytes: some hundred certificates.
const POLICY_LEN_MAX: usize = 1 << 20;
