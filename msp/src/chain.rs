//! Certification paths from a certificate to the configured roots, as Go's verifier finds them.

use std::sync::Arc;

use crate::certificate::Certificate;

/// The authorities of one organisation.
#[derive(Debug, Default)]
pub(crate) struct Authorities {
    pub(crate) roots: Vec<Arc<Certificate>>,
    pub(crate) intermediates: Vec<Arc<Certificate>>,
}

/// What went wrong in building a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ChainError {
    ExtendedKeyUsage,
    None,
    Several,
}

impl Authorities {
    /// Finds the one path from `leaf`, which it leaves out, to a root.
    ///
    /// Every certificate is judged one second after the leaf became valid, not now (C-47).
    pub(crate) fn only_chain(
        &self,
        leaf: &Certificate,
    ) -> Result<Vec<Arc<Certificate>>, ChainError> {
        let at = leaf.not_before.saturating_add(1);
        if !leaf.is_valid_at(at) || leaf.extensions.has_unknown_critical {
            return Err(ChainError::None);
        }
        let mut search =
            Search { authorities: self, at, checks_left: SIGNATURE_CHECKS_MAX, found: Vec::new() };
        search.extend(leaf, &mut Vec::new());
        let any_found = !search.found.is_empty();
        let mut usable = search.found;
        usable.retain(|chain| chain_allows_server_auth(leaf, chain));
        match (usable.pop(), usable.is_empty(), any_found) {
            (Some(chain), true, _) => Ok(chain),
            (Some(_), false, _) => Err(ChainError::Several),
            (None, _, true) => Err(ChainError::ExtendedKeyUsage),
            (None, _, false) => Err(ChainError::None),
        }
    }

    /// All authorities, roots first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.roots.iter().chain(&self.intermediates)
    }
}

/// A depth-first search; `path` holds the intermediates between the leaf and the current end.
struct Search<'a> {
    authorities: &'a Authorities,
    at: u64,
    checks_left: u32,
    found: Vec<Vec<Arc<Certificate>>>,
}

impl Search<'_> {
    fn extend(&mut self, end: &Certificate, path: &mut Vec<Arc<Certificate>>) {
        let authorities = self.authorities;
        for root in &authorities.roots {
            if self.may_follow(root, end, path) {
                let mut chain = path.clone();
                chain.push(Arc::clone(root));
                self.found.push(chain);
            }
        }
        for intermediate in &authorities.intermediates {
            if self.may_follow(intermediate, end, path) {
                path.push(Arc::clone(intermediate));
                self.extend(intermediate, path);
                path.pop();
            }
        }
    }

    fn may_follow(
        &mut self,
        issuer: &Certificate,
        end: &Certificate,
        path: &[Arc<Certificate>],
    ) -> bool {
        let is_repeated = |other: &Certificate| {
            other.subject == issuer.subject && other.key.bytes() == issuer.key.bytes()
        };
        let fits = end.issuer == issuer.subject
            && issuer.is_valid_at(self.at)
            && !issuer.extensions.has_unknown_critical
            && issuer.extensions.path_len_max.is_none_or(|max| path.len() <= usize::from(max))
            && !is_repeated(end)
            && !path.iter().any(|other| is_repeated(other));
        if !fits || self.checks_left == 0 {
            return false;
        }
        self.checks_left -= 1;
        end.is_issued_by(issuer)
    }
}

fn chain_allows_server_auth(leaf: &Certificate, chain: &[Arc<Certificate>]) -> bool {
    leaf.extensions.allows_server_auth()
        && chain.iter().all(|authority| authority.extensions.allows_server_auth())
}

/// Go's own bound on the work that one certificate can cause.
const SIGNATURE_CHECKS_MAX: u32 = 100;
