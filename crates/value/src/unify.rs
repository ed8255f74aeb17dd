//! Which type several types have in common, and what converts to what: cty's rules, to the letter. Plans show what comes of them.

use std::collections::HashSet;
use std::sync::Arc;

use crate::{ObjectType, Type};

/// The one type that all of these convert to, as a conditional or a list literal needs it: `None` where there is none.
pub fn unify(types: impl IntoIterator<Item = Type>) -> Option<Type> {
    let mut distinct: Vec<Type> = Vec::new();
    let mut seen = HashSet::new();
    for ty in types {
        // Of ten thousand elements most have the type of the one before.
        if distinct.last() != Some(&ty) && seen.insert(ty.clone()) {
            distinct.push(ty);
        }
    }
    match &distinct[..] {
        [] => Some(Type::Any),
        [only] => Some(only.clone()),
        _ => common(&distinct),
    }
}

/// A kind of types.
type Is = fn(&Type) -> bool;
const MAP: Is = |ty| matches!(ty, Type::Map(_));
const LIST: Is = |ty| matches!(ty, Type::List(_));
const SET: Is = |ty| matches!(ty, Type::Set(_));
const OBJECT: Is = |ty| matches!(ty, Type::Object(_));
const TUPLE: Is = |ty| matches!(ty, Type::Tuple(_));

fn common(types: &[Type]) -> Option<Type> {
    let any = |is: Is| types.iter().any(is);
    let only = |kinds: &[Is]| types.iter().all(|ty| *ty == Type::Any || kinds.iter().any(|is| is(ty)));
    if [MAP, LIST, SET, OBJECT, TUPLE].iter().any(|is| any(*is) && only(&[*is])) {
        // What of it becomes known may be anything.
        return if types.contains(&Type::Any) { Some(Type::Any) } else { alike(types) };
    }
    // What stands beside maps or lists is mostly one, only not written as such.
    let disguised = if any(MAP) && only(&[MAP, OBJECT]) {
        as_collections(types, OBJECT, objects_as_map)
    } else if any(LIST) && only(&[LIST, TUPLE]) {
        as_collections(types, TUPLE, tuples_as_list)
    } else if any(OBJECT) && any(TUPLE) {
        return None;
    } else {
        None
    };
    disguised.or_else(|| {
        let fits = |want: &&Type| types.iter().all(|ty| may_convert(ty, want));
        by_preference(types).into_iter().find(fits).cloned()
    })
}

/// The common type of types that are all of one kind.
fn alike(types: &[Type]) -> Option<Type> {
    let elements = types.iter().map(|ty| match ty {
        Type::Map(e) | Type::List(e) | Type::Set(e) => (**e).clone(),
        other => other.clone(),
    });
    match &types[0] {
        Type::Map(_) => unify(elements).map(Type::map),
        Type::List(_) => unify(elements).map(Type::list),
        Type::Set(_) => unify(elements).map(Type::set),
        Type::Object(_) => objects(types),
        _ => tuples(types),
    }
}

/// Objects of the same attributes stay an object; others become a map.
fn objects(types: &[Type]) -> Option<Type> {
    let all: Vec<&ObjectType> = types
        .iter()
        .filter_map(|ty| match ty {
            Type::Object(object) => Some(&**object),
            _ => None,
        })
        .collect();
    let first = all.first()?;
    if !all.iter().all(|object| object.attributes.keys().eq(first.attributes.keys())) {
        return objects_as_map(types);
    }
    let attribute = |name: &Arc<str>| unify(all.iter().map(|object| object.attributes[name].clone()));
    let attributes: Option<Vec<_>> =
        first.attributes.keys().map(|name| Some((name.clone(), attribute(name)?))).collect();
    let ty = Type::object(attributes?);
    if types.iter().all(|from| may_convert(from, &ty)) { Some(ty) } else { objects_as_map(types) }
}

/// Tuples of one length stay a tuple; others become a list.
fn tuples(types: &[Type]) -> Option<Type> {
    let all: Vec<&[Type]> = types
        .iter()
        .filter_map(|ty| match ty {
            Type::Tuple(items) => Some(&**items),
            _ => None,
        })
        .collect();
    let first = all.first()?;
    if !all.iter().all(|items| items.len() == first.len()) {
        return tuples_as_list(types);
    }
    let items: Option<Vec<Type>> =
        (0..first.len()).map(|i| unify(all.iter().map(|items| items[i].clone()))).collect();
    let ty = Type::tuple(items?);
    if types.iter().all(|from| may_convert(from, &ty)) { Some(ty) } else { tuples_as_list(types) }
}

fn objects_as_map(types: &[Type]) -> Option<Type> {
    let attributes = types.iter().flat_map(|ty| match ty {
        Type::Object(object) => object.attributes.values().cloned().collect(),
        _ => Vec::new(),
    });
    collection(types, attributes.collect(), Type::map)
}

fn tuples_as_list(types: &[Type]) -> Option<Type> {
    let items = types.iter().flat_map(|ty| match ty {
        Type::Tuple(items) => items.to_vec(),
        _ => Vec::new(),
    });
    collection(types, items.collect(), Type::list)
}

fn collection(types: &[Type], elements: Vec<Type>, of: fn(Type) -> Type) -> Option<Type> {
    // Of nothing there is no common type.
    let element = if elements.is_empty() { None } else { unify(elements) };
    element.map(of).filter(|ty| types.iter().all(|from| may_convert(from, ty)))
}

/// Takes the structures among these for the collection that they have in common.
fn as_collections(types: &[Type], structure: Is, collect: fn(&[Type]) -> Option<Type>) -> Option<Type> {
    let structures: Vec<Type> = types.iter().filter(|ty| structure(ty)).cloned().collect();
    let collected = collect(&structures)?;
    let ty = unify(types.iter().map(|ty| if structure(ty) { collected.clone() } else { ty.clone() }))?;
    matches!(ty, Type::Map(_) | Type::List(_)).then_some(ty)
}

/// The most general ones first, as far as two can be told apart; else in their order.
fn by_preference(types: &[Type]) -> Vec<&Type> {
    let above = |a: usize, b: usize| rank(&types[a], &types[b]) < 0;
    let mut waits: Vec<usize> =
        (0..types.len()).map(|j| (0..types.len()).filter(|i| above(*i, j)).count()).collect();
    let mut order: Vec<usize> = (0..types.len()).filter(|i| waits[*i] == 0).collect();
    let mut next = 0;
    while let Some(&i) = order.get(next) {
        next += 1;
        for j in (0..types.len()).filter(|j| above(i, *j)) {
            waits[j] -= 1;
            if waits[j] == 0 {
                order.push(j);
            }
        }
    }
    order.into_iter().map(|i| &types[i]).collect()
}

/// Below zero where `a` is the more general one, above zero where `b` is.
fn rank(a: &Type, b: &Type) -> i32 {
    match (a, b) {
        (Type::Any, Type::Any) => 0,
        (Type::Any, _) => 1,
        (_, Type::Any) => -1,
        (Type::String, Type::Bool | Type::Number) => -1,
        (Type::Bool | Type::Number, Type::String) => 1,
        (Type::List(a), Type::List(b)) | (Type::Set(a), Type::Set(b)) | (Type::Map(a), Type::Map(b)) => {
            rank(a, b)
        }
        (Type::List(_), Type::Tuple(_))
        | (Type::Map(_), Type::Object(_))
        | (Type::Tuple(_) | Type::List(_), Type::Set(_)) => -1,
        (Type::Tuple(_), Type::List(_))
        | (Type::Object(_), Type::Map(_))
        | (Type::Set(_), Type::Tuple(_) | Type::List(_)) => 1,
        (Type::Tuple(a), Type::Tuple(b)) if a.len() == b.len() => agreed(a.iter().zip(b.iter())),
        (Type::Object(a), Type::Object(b)) if a.attributes.keys().eq(b.attributes.keys()) => {
            agreed(a.attributes.values().zip(b.attributes.values()))
        }
        _ => 0,
    }
}

/// What all members say, as far as they say anything; nothing where they do not agree.
fn agreed<'a>(members: impl Iterator<Item = (&'a Type, &'a Type)>) -> i32 {
    let (mut above, mut below) = (false, false);
    for (a, b) in members {
        let rank = rank(a, b);
        above |= rank < 0;
        below |= rank > 0;
    }
    i32::from(below) - i32::from(above)
}

/// Whether a value of type `from` could convert to `to`, for some value of it.
pub(crate) fn may_convert(from: &Type, to: &Type) -> bool {
    match (from, to) {
        _ if from == to => true,
        (Type::Any, _) | (_, Type::Any) => true,
        (Type::Bool, Type::Number) | (Type::Number, Type::Bool) => false,
        (a, b) if a.is_primitive() && b.is_primitive() => true,
        (Type::List(a) | Type::Set(a), Type::List(b) | Type::Set(b)) | (Type::Map(a), Type::Map(b)) => {
            may_convert(a, b)
        }
        (Type::Tuple(items), Type::List(element) | Type::Set(element)) => {
            one_element(items.iter(), element).is_some_and(|one| {
                // Of no type at all are only nulls and what is not known.
                one != Type::Any || items.iter().all(|ty| *ty == Type::Any)
            })
        }
        (Type::Object(object), Type::Map(element)) => {
            one_element(object.attributes.values(), element).is_some()
        }
        (Type::Tuple(a), Type::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| may_convert(a, b))
        }
        (Type::Map(a), Type::Object(b)) => {
            b.attributes.iter().all(|(name, b_ty)| may_convert(a, b_ty) || b.optional.contains(name))
        }
        (Type::Object(a), Type::Object(b)) => {
            b.attributes.iter().all(|(name, want)| match a.attributes.get(name) {
                Some(have) => may_convert(have, want),
                None => b.optional.contains(name),
            })
        }
        _ => false,
    }
}

/// The type that the members of a structure get as elements of a collection: `None` where one of them can't.
fn one_element<'a>(members: impl Iterator<Item = &'a Type> + Clone, element: &Type) -> Option<Type> {
    let one = if *element == Type::Any { unify(members.clone().cloned())? } else { element.clone() };
    let mut members = members;
    members.all(|ty| may_convert(ty, &one)).then_some(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_becomes_what_all_can_be() {
        let object = |names: &[&str], ty: Type| Type::object(names.iter().map(|name| (*name, ty.clone())));
        let both = |a: Type, b: Type| unify([a, b]);
        assert_eq!(both(Type::Number, Type::String), Some(Type::String));
        assert_eq!(both(Type::Number, Type::Bool), None);
        assert_eq!(unify([Type::Bool, Type::String, Type::Number]), Some(Type::String));
        let (a, ab) = (object(&["a"], Type::Number), object(&["a", "b"], Type::String));
        assert_eq!(both(a.clone(), ab), Some(Type::map(Type::String)));
        assert_eq!(both(a.clone(), object(&["a"], Type::String)), Some(object(&["a"], Type::String)));
        assert_eq!(both(a.clone(), Type::tuple([Type::Number])), None);
        // What nothing is known of leaves all open, but for what is plain.
        assert_eq!(both(Type::Any, Type::Number), Some(Type::Number));
        assert_eq!(both(Type::Any, Type::list(Type::Number)), Some(Type::Any));
        assert_eq!(unify([Type::Any, Type::Number, a]), Some(Type::Any));
    }

    #[test]
    fn a_collection_becomes_no_tuple() {
        let pair = Type::tuple([Type::String, Type::Number]);
        assert!(!may_convert(&Type::list(Type::String), &pair));
        assert!(may_convert(&pair, &Type::list(Type::Any)) && may_convert(&pair, &Type::set(Type::Number)));
        assert!(!may_convert(&Type::tuple([Type::Any, Type::list(Type::String)]), &Type::list(Type::Any)));
    }
}
