//! What a site knows better than the function tables: the kind of a function, as its configuration has it.

use crate::limits::OPS;
use crate::op::{Dir, Kind, Tag, rank_of};
use crate::walk::Walk;

/// Kinds by protocol and function: a map of the kernel program, or of user space.
pub trait Kinds {
    /// The kind that the site chose for a [`key`], none for all others.
    fn kind(&mut self, key: u64) -> Option<Kind>;
}

/// A function of a protocol in one word.
#[inline(always)]
pub const fn key(proto: u8, function: u32) -> u64 {
    (proto as u64) << 32 | function as u64
}

/// Gives the operations of a frame the kinds that the site chose, and finds the worst one again. To be called when the
/// walk is over and before anything is counted. As ever, an answer changes nothing.
#[inline(always)]
pub fn overrule<K: Kinds>(w: &mut Walk, kinds: &mut K) {
    let (mut lead, mut lead_rank) = (0, 0);
    for i in 0..OPS as u32 {
        if i >= w.n_ops {
            break;
        }
        let op = &mut w.ops[i as usize & (OPS - 1)];
        if let Some(kind) = kinds.kind(key(op.tag.proto(), op.function)) {
            let answer = op.tag.dir_code() == Dir::Response as u8;
            let kind = if answer { kind.0 & !Kind::STATE_CHANGING } else { kind.0 };
            op.tag = Tag(op.tag.0 & !0xFF00 | (kind as u32) << 8);
        }
        let rank = rank_of(op.tag.kind()) as u32;
        if rank > lead_rank && i >= w.skip {
            (lead, lead_rank) = (i, rank);
        }
    }
    (w.lead, w.lead_rank) = (lead, lead_rank);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Class, Op};

    struct One(u64, Kind);
    impl Kinds for One {
        fn kind(&mut self, key: u64) -> Option<Kind> {
            (key == self.0).then_some(self.1)
        }
    }

    #[test]
    fn the_worst_operation_is_found_again() {
        let op =
            |function, class, dir| Op { function, tag: Tag::new(7, Kind::new(class, true).0, dir, 0), ..Op::default() };
        let mut w = Walk::default();
        w.push(op(1, Class::Read, Dir::Request));
        w.push(op(2, Class::Write, Dir::Request));
        w.push(op(1, Class::Read, Dir::Response));
        assert_eq!(w.lead, 1);
        overrule(&mut w, &mut One(key(7, 1), Kind::new(Class::ProgramDownload, true)));
        assert_eq!(w.lead, 0);
        assert_eq!(w.ops[0].tag, Tag::new(7, Kind::new(Class::ProgramDownload, true).0, Dir::Request, 0));
        assert_eq!(w.ops[2].tag, Tag::new(7, Kind::new(Class::ProgramDownload, false).0, Dir::Response, 0));
        overrule(&mut w, &mut One(key(7, 1), Kind::new(Class::Session, false)));
        assert_eq!((w.lead, w.ops[1].class()), (1, Class::Write));
        let untouched = w.ops;
        overrule(&mut w, &mut One(key(8, 1), Kind::new(Class::Control, true)));
        assert_eq!((w.ops, w.lead), (untouched, 1));
    }
}
