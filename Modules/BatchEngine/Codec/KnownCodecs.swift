internal import Synchronization

/// The codecs that need not be looked for: those of common element types, and those found so far.
enum KnownCodecs {
    /// Compiled for their types: one that is put together at run time finds each part's functions
    /// through its type, which takes several times as long as the work itself.
    private static let common: [ObjectIdentifier: any Sendable] = {
        var known: [ObjectIdentifier: any Sendable] = [:]
        func add<Element>(_ codec: Codec<Element>) {
            known[ObjectIdentifier(Element.self)] = codec
        }
        add(Codec<String>.of())
        add(Codec<Int>.of())
        add(Codec<Int64>.of())
        add(Codec<Double>.of())
        add(Codec<(String, Int)>.pair(.of(), .of()))
        add(Codec<(String, Int64)>.pair(.of(), .of()))
        add(Codec<(String, Double)>.pair(.of(), .of()))
        add(Codec<(String, String)>.pair(.of(), .of()))
        add(Codec<(Int, Int)>.pair(.of(), .of()))
        add(Codec<(Int, String)>.pair(.of(), .of()))
        add(Codec<(Int, Double)>.pair(.of(), .of()))
        add(Codec<(String, (Int, Int))>.pair(.of(), .pair(.of(), .of())))
        add(Codec<(String, [Int])>.pair(.of(), .of()))
        add(Codec<(String, [String])>.pair(.of(), .of()))
        return known
    }()

    private static let found = Locked<[ObjectIdentifier: any Sendable]>([:])

    /// The codec of a type, if it is one of them.
    static func codec<Element>(of type: Element.Type) -> Codec<Element>? {
        let type = ObjectIdentifier(type)
        if let codec = common[type] { return codec as? Codec<Element> }
        return found.withLock { $0[type] } as? Codec<Element>
    }

    /// Keeps a codec that was found.
    static func note<Element>(_ codec: Codec<Element>) {
        found.withLock { $0[ObjectIdentifier(Element.self)] = codec }
    }
}
