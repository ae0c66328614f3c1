// The compiler looks at these forms only when no other one fits, and shows their messages.

extension DStream {
    /// Not for elements that are no pairs.
    @available(
        *, unavailable,
        message: "elements must be pairs (key, value): make them before, as in map { ($0, 1) }"
    )
    public func reduceByKey(
        partitions: Int? = nil, _ combine: (Element, Element) throws -> Element
    ) -> DStream { fatalError() }

    /// Not for elements of three values.
    @available(
        *, unavailable,
        message:
            "elements must be pairs (key, value): nest the values, as in map { ($0.0, ($0.1, $0.2)) }"
    )
    public func reduceByKey<Key, Second, Third>(
        partitions: Int? = nil, _ combine: (Second, Second) throws -> Second
    ) -> DStream where Element == (Key, Second, Third) { fatalError() }

    /// Not for keys that are no ``BatchEngine/StreamKey``.
    @available(
        *, unavailable,
        message: "keys must conform to StreamKey: make a String of a Substring, a struct of a tuple"
    )
    public func reduceByKey<Key>(
        partitions: Int? = nil, _ combine: (Int, Int) throws -> Int
    ) -> DStream where Element == (Key, Int) { fatalError() }

    /// Not for keys that are no ``BatchEngine/StreamKey``.
    @available(
        *, unavailable,
        message: "keys must conform to StreamKey: make a String of a Substring, a struct of a tuple"
    )
    public func reduceByKey<Key, Value>(
        partitions: Int? = nil, _ combine: (Value, Value) throws -> Value
    ) -> DStream where Element == (Key, Value) { fatalError() }

    /// Not for streams whose keys are of different types.
    @available(
        *, unavailable,
        message: "both streams must have keys of one type, which conforms to StreamKey"
    )
    public func join<Key, Value, OtherKey, Other>(
        _ other: DStream<(OtherKey, Other)>, partitions: Int? = nil
    ) -> DStream<(Key, (Value, Other))> where Element == (Key, Value) { fatalError() }

    /// Not for closures that begin with nil.
    @available(
        *, unavailable,
        message: "the closure must say what it returns, as in compactMap { line -> Int? in … }"
    )
    public func compactMap(_ transform: (Element) throws -> Any?) -> DStream { fatalError() }
}
