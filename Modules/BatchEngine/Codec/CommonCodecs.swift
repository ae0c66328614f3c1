/// The codecs of common element types, compiled for those types.
///
/// One that is put together at run time finds each part's functions through its type, which takes
/// several times as long as the work itself.
enum CommonCodecs {
    private static let known: [ObjectIdentifier: any Sendable] = {
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

    /// The codec of a type, if it is one of them.
    static func codec<Element>(of type: Element.Type) -> Codec<Element>? {
        known[ObjectIdentifier(type)] as? Codec<Element>
    }
}
