//! Rules on signatures, evaluated as Fabric does: greedily, from left to right.

use std::sync::Arc;

use gossip_proto::common::signature_policy::{NOutOf, Type};
use gossip_proto::common::{SignaturePolicy as Proto, SignaturePolicyEnvelope};

use crate::identities::Valid;
use crate::msp::MspLevel;
use crate::policy::principal::Principal;

/// A rule on signatures, and the principals it names.
#[derive(Debug)]
pub(crate) struct SignaturePolicy {
    rule: Rule,
    principals: Vec<Principal>,
}

#[derive(Debug)]
enum Rule {
    /// An identity of the principal at this position, used for nothing else.
    SignedBy(usize),
    /// At least so many of these.
    OutOf(usize, Vec<Rule>),
}

impl SignaturePolicy {
    /// Checks what Fabric checks, and that evaluation takes bounded time and stack.
    pub(crate) fn new(envelope: &SignaturePolicyEnvelope, level: MspLevel) -> Result<Self, String> {
        if envelope.version != 0 {
            return Err(format!("signature policy of version {}, expected 0", envelope.version));
        }
        let rule = envelope.rule.as_ref().ok_or("signature policy without a rule")?;
        let read = |principal| Principal::new(principal, level);
        let principals = envelope.identities.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut reader = Reader { principals: principals.len(), rules_left: RULES_MAX };
        Ok(Self { rule: reader.read(rule, 1)?, principals })
    }

    /// Whether these identities, each of which signed and appears once, satisfy the policy.
    pub(crate) fn holds(&self, signers: &[Arc<Valid>]) -> bool {
        self.rule_holds(&self.rule, signers, &mut vec![false; signers.len()])
    }

    /// Marks the identities that `rule` uses up. Where it fails, `used` is of no use any more.
    ///
    /// All rules of several are tried, even when enough of them hold: each that holds uses up
    /// identities. No choice is ever taken back (SV-58).
    fn rule_holds(&self, rule: &Rule, signers: &[Arc<Valid>], used: &mut Vec<bool>) -> bool {
        match rule {
            Rule::SignedBy(position) => {
                let principal = &self.principals[*position];
                let fits = |&at: &usize| !used[at] && principal.includes(&signers[at]);
                let found = (0..signers.len()).find(fits);
                if let Some(at) = found {
                    used[at] = true;
                }
                found.is_some()
            }
            Rule::OutOf(needed, rules) => {
                let mut held = 0;
                for rule in rules {
                    let mut tried = used.clone();
                    if self.rule_holds(rule, signers, &mut tried) {
                        held += 1;
                        *used = tried;
                    }
                }
                held >= *needed
            }
        }
    }
}

struct Reader {
    principals: usize,
    rules_left: usize,
}

impl Reader {
    fn read(&mut self, rule: &Proto, depth: usize) -> Result<Rule, String> {
        if depth > DEPTH_MAX {
            return Err(format!("rules nested deeper than {DEPTH_MAX}"));
        }
        let too_many = || format!("more than {RULES_MAX} rules in one policy");
        self.rules_left = self.rules_left.checked_sub(1).ok_or_else(too_many)?;
        match &rule.r#type {
            None => Err("rule that is neither a signature nor several rules".into()),
            Some(Type::SignedBy(position)) => {
                let found = usize::try_from(*position).ok().filter(|at| *at < self.principals);
                let fail =
                    || format!("principal {position} of {}, counted from 0", self.principals);
                Ok(Rule::SignedBy(found.ok_or_else(fail)?))
            }
            Some(Type::NOutOf(NOutOf { n, rules })) => {
                let rules = rules.iter().map(|rule| self.read(rule, depth + 1));
                // Of a negative number there is always enough.
                Ok(Rule::OutOf(usize::try_from(*n).unwrap_or(0), rules.collect::<Result<_, _>>()?))
            }
        }
    }
}

/// The most rules of one policy, which bounds the time that one evaluation takes.
const RULES_MAX: usize = 4096;

/// The deepest nesting of rules, which bounds the stack that one evaluation takes.
const DEPTH_MAX: usize = 32;
