/// Whether a key sorts before another in ascending order.
///
/// It is `<` but for two things: strings are compared by their UTF-16 code units, as the JVM does,
/// not by canonical equivalence, and a value that is not equal to itself (NaN) comes last.
@inlinable
func sortsBefore<Key: Comparable>(_ left: Key, _ right: Key) -> Bool {
    if Key.self == String.self, let left = left as? String, let right = right as? String {
        return codeUnitsPrecede(left, right)
    }
    return left < right || (right != right && left == left)
}

/// Whether the UTF-16 code units of a string come before those of another.
@usableFromInline
func codeUnitsPrecede(_ left: String, _ right: String) -> Bool {
    var left = left
    var right = right
    return left.withUTF8 { left in
        right.withUTF8 { right in
            let count = min(left.count, right.count)
            for index in 0..<count where left[index] != right[index] {
                let (a, b) = (left[index], right[index])
                // Four bytes of UTF-8 are surrogates in UTF-16, which come before U+E000…U+FFFF.
                let (isPairA, isPairB) = (a >= 0xF0, b >= 0xF0)
                if isPairA != isPairB, a >= 0xEE, b >= 0xEE { return isPairA }
                return a < b
            }
            return left.count < right.count
        }
    }
}

/// Keeps the few elements that sort first out of many; of equal ones those that came first.
@usableFromInline
struct FirstElements<Element> {
    @usableFromInline let limit: Int
    @usableFromInline var elements: [Element] = []
    /// The last of the first `limit` elements, as soon as there are so many.
    @usableFromInline var bound: Element?

    @inlinable
    init(_ limit: Int) { self.limit = limit }

    /// Takes an element.
    ///
    /// - Complexity: O(log limit) amortised; O(1) for one that sorts after those kept.
    @inlinable
    mutating func add(
        _ element: Element, _ precedes: (Element, Element) throws -> Bool
    ) rethrows {
        if let bound, try !precedes(element, bound) { return }
        elements.append(element)
        if limit <= Int.max / 2, elements.count >= max(16, 2 * limit) { try settle(precedes) }
    }

    /// Sorts the elements and drops those over the limit.
    @inlinable
    mutating func settle(_ precedes: (Element, Element) throws -> Bool) rethrows {
        try elements.sort(by: precedes)
        guard elements.count >= limit else { return }
        elements.removeLast(elements.count - limit)
        bound = elements.last
    }
}
