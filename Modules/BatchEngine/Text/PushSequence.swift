/// A sequence that can hand all its elements to a closure, in one pass.
///
/// For a sequence whose elements are found by scanning, this is faster than an iterator, which has
/// to remember between elements where it is. `flatMap` uses it where a closure returns one.
public protocol PushSequence<Element>: Sequence {
    /// Calls a closure with each element, in the order in which an iterator returns them.
    ///
    /// - Throws: What `body` throws, at once.
    func forEachPush(_ body: (Element) throws -> Void) rethrows
}
