/// A fused chain of narrow operators: pushes a partition's elements into a sink.
///
/// Streams and RDDs share this algebra. Each operator wraps the closure before it, written at the
/// user's call site by `@inlinable` code, so that a chain runs specialised for its element types
/// without anything being looked up per element.
public struct Pipe<Element: Sendable>: Sendable {
    /// Pushes the elements found in the inputs into the sink, in order.
    public typealias Body =
        @Sendable (TaskContext, [PartitionData], (Element) throws -> Void) throws -> Void

    /// How many operators may be nested in one pass: each takes some of the thread's stack.
    public static var depthMaximum: Int { 1000 }
    /// How many an output or a shuffle may put around that many.
    @usableFromInline static var depthReserve: Int { 24 }

    /// Runs the chain over one partition; see ``push(_:_:into:)`` for sinks of pairs.
    public let run: Body
    /// How many operators are nested here, from 1.
    public let depth: Int
    /// Whether it gives the elements it is given, as they are.
    public let isPlain: Bool

    /// Makes a pipe that starts a chain.
    @inlinable
    public init(_ run: @escaping Body) {
        self.run = run
        depth = 1
        isPlain = false
    }

    /// Makes a pipe that gives the elements it is given.
    @inlinable
    init(isPlain: Bool, _ run: @escaping Body) {
        self.run = run
        depth = 1
        self.isPlain = isPlain
    }

    /// Makes a pipe around others, the deepest of which has `depth` operators nested.
    ///
    /// Beyond ``depthMaximum``, and a few for what an output adds, the chain is released and running
    /// the pipe throws ``EngineError``. Starting a graph refuses streams that are nested more deeply.
    @inlinable
    public init(around depth: Int, _ site: OperatorSite, _ run: @escaping Body) {
        self.depth = depth + 1
        isPlain = false
        self.run =
            depth < Self.depthMaximum + Self.depthReserve ? run : Self.tooDeep(site)
    }

    /// Runs the chain over one partition.
    ///
    /// To be called instead of ``run`` where the element is known to be a tuple, with a sink that is
    /// written at the call and takes the tuple as one parameter. The element is generic here, so the
    /// sink is compiled for a value in one piece, which is what a chain hands on. Around a sink of
    /// several parameters, or one given to ``run``, the compiler puts a function that takes the
    /// tuple apart, and calls it for every element.
    @inlinable
    package func push(
        _ context: TaskContext, _ inputs: [PartitionData], into sink: (Element) throws -> Void
    ) throws {
        try run(context, inputs, sink)
    }

    /// Whether running the pipe throws, as too many operators are nested.
    @inlinable var isTooDeep: Bool { depth > Self.depthMaximum + Self.depthReserve }

    @usableFromInline
    static func tooDeep(_ site: OperatorSite) -> Body {
        { _, _, _ in
            throw EngineError(
                .invalidPlan,
                "more than \(depthMaximum) operators are nested; persist() the RDD on the way, or "
                    + "make one union of an array", site: site)
        }
    }

    /// The start of a stage: elements in memory, as bytes, or behind another pipe.
    @inlinable
    public static func source(_ site: OperatorSite) -> Pipe {
        Pipe(isPlain: true) { context, inputs, sink in
            for input in inputs { try pushSource(input, context, site, sink) }
        }
    }

    @inlinable
    static func pushSource(
        _ input: PartitionData, _ context: TaskContext, _ site: OperatorSite,
        _ sink: (Element) throws -> Void
    ) throws {
        switch input {
        case .values(let values):
            guard let values = values as? Values<Element> else {
                throw EngineError(
                    .invalidPlan, "a partition holds \(type(of: values)), not \(Element.self)",
                    site: site)
            }
            let elements = values.elements
            var index = 0
            while index < elements.count {
                try context.checkCancellation()
                let end = min(index + 4096, elements.count)
                while index < end {
                    try sink(elements[index])
                    index += 1
                }
            }
        case .encoded(let encoded):
            try pushEncoded(encoded, context, site, sink)
        case .dynamic(let pipe, let inner):
            guard let pipe = pipe as? PipeBox<Element> else {
                throw EngineError(
                    .invalidPlan, "a per-batch pipe is \(type(of: pipe)), not of \(Element.self)",
                    site: site)
            }
            try pipe.pipe.run(context, inner, sink)
        case .branch(_, let inner):
            for input in inner { try pushSource(input, context, site, sink) }
        case .lines(let block):
            guard Element.self == String.self else {
                throw EngineError(
                    .invalidPlan, "a partition holds text, not \(Element.self)", site: site)
            }
            var check = CancellationCheck(context)
            try block.forEachLine { line in
                try check.next()
                if let element = line as? Element { try sink(element) }
            }
        case .block(let id):
            throw EngineError(.blockMissing, "block \(id) was not resolved", site: site)
        }
    }

    @inlinable
    static func pushEncoded(
        _ encoded: EncodedValues, _ context: TaskContext, _ site: OperatorSite,
        _ sink: (Element) throws -> Void
    ) throws {
        guard let codec = Codec<Element>.resolve() else {
            throw EngineError(
                .codecMissing, "\(Element.self) has no codec; declare it StreamCodable", site: site)
        }
        var check = CancellationCheck(context)
        try encoded.checkCount()
        try encoded.bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            // Counted, not read to the end of the bytes: elements may take none.
            var rest = encoded.count
            while rest > 0 {
                try check.next()
                try sink(try codec.decode(&reader))
                rest -= 1
            }
            guard reader.isAtEnd else { throw CodecError.invalid("sequence of elements") }
        }
    }
}

/// Looks every few thousand elements whether the task is to end.
@usableFromInline
struct CancellationCheck {
    @usableFromInline let context: TaskContext
    @usableFromInline var rest = 0

    @inlinable
    init(_ context: TaskContext) { self.context = context }

    /// Called for each element.
    @inlinable @inline(__always)
    mutating func next() throws {
        if rest == 0 {
            try context.checkCancellation()
            rest = 4096
        }
        rest &-= 1
    }
}

/// A pipe behind a reference, so that a plan can carry it without knowing its type.
public final class PipeBox<Element: Sendable>: Sendable {
    /// The pipe.
    public let pipe: Pipe<Element>
    package let site: OperatorSite?

    /// Wraps `pipe`.
    ///
    /// - Parameter site: the operator whose body made it; nil: no body of the user's.
    public init(_ pipe: Pipe<Element>, madeBy site: OperatorSite? = nil) {
        self.pipe = pipe
        self.site = site
    }
}

extension Pipe {
    /// Applies `transform` to each element.
    @inlinable
    public func map<Output: Sendable>(
        _ site: OperatorSite, _ transform: @escaping @Sendable (Element) throws -> Output
    ) -> Pipe<Output> {
        let run = run
        return Pipe<Output>(around: depth, site) { context, inputs, sink in
            try run(context, inputs) { element in
                try sink(try OperatorFailure.attempt(site, transform, element))
            }
        }
    }

    /// Keeps the elements for which `isIncluded` is true.
    @inlinable
    public func filter(
        _ site: OperatorSite, _ isIncluded: @escaping @Sendable (Element) throws -> Bool
    ) -> Pipe {
        let run = run
        return Pipe(around: depth, site) { context, inputs, sink in
            try run(context, inputs) { element in
                if try OperatorFailure.attempt(site, isIncluded, element) { try sink(element) }
            }
        }
    }

    /// Applies `transform` to each element and leaves out what becomes nil.
    @inlinable
    public func compactMap<Output: Sendable>(
        _ site: OperatorSite, _ transform: @escaping @Sendable (Element) throws -> Output?
    ) -> Pipe<Output> {
        let run = run
        return Pipe<Output>(around: depth, site) { context, inputs, sink in
            try run(context, inputs) { element in
                if let output = try OperatorFailure.attempt(site, transform, element) {
                    try sink(output)
                }
            }
        }
    }

    /// Replaces each element by the elements of a sequence.
    @inlinable
    public func flatMap<Outputs: Sequence & SendableMetatype>(
        _ site: OperatorSite, _ transform: @escaping @Sendable (Element) throws -> Outputs
    ) -> Pipe<Outputs.Element> where Outputs.Element: Sendable, Outputs.Iterator: SendableMetatype {
        let run = run
        return Pipe<Outputs.Element>(around: depth, site) { context, inputs, sink in
            var check = CancellationCheck(context)
            try run(context, inputs) { element in
                for output in try OperatorFailure.attempt(site, transform, element) {
                    try check.next()
                    try sink(output)
                }
            }
        }
    }

    /// Replaces each element by the elements of a sequence that pushes them itself.
    @inlinable
    public func flatMap<Outputs: PushSequence & SendableMetatype>(
        _ site: OperatorSite, _ transform: @escaping @Sendable (Element) throws -> Outputs
    ) -> Pipe<Outputs.Element> where Outputs.Element: Sendable, Outputs.Iterator: SendableMetatype {
        let run = run
        return Pipe<Outputs.Element>(around: depth, site) { context, inputs, sink in
            try run(context, inputs) { element in
                try OperatorFailure.attempt(site, transform, element).forEachPush(sink)
            }
        }
    }

    /// Hands a whole partition to `transform`.
    @inlinable
    public func mapPartitions<Outputs: Sequence & SendableMetatype>(
        _ site: OperatorSite, _ transform: @escaping @Sendable ([Element]) throws -> Outputs
    ) -> Pipe<Outputs.Element> where Outputs.Element: Sendable, Outputs.Iterator: SendableMetatype {
        let gather = gathered
        return Pipe<Outputs.Element>(around: depth, site) { context, inputs, sink in
            let elements = try gather(context, inputs)
            var check = CancellationCheck(context)
            for output in try OperatorFailure.attempt(site, transform, elements) {
                try check.next()
                try sink(output)
            }
        }
    }

    /// Runs the chain and gathers the partition's elements into an array.
    @inlinable
    public var gathered: @Sendable (TaskContext, [PartitionData]) throws -> [Element] {
        let run = run
        return { context, inputs in
            var elements: [Element] = []
            // Small partitions would grow as often as large ones; a guess too high costs those little.
            elements.reserveCapacity(min(inputs.reduce(0) { $0 + $1.count }, 64))
            try run(context, inputs) { elements.append($0) }
            return elements
        }
    }

    /// The chains of several inputs, chosen by the branch each partition is tagged with.
    @inlinable
    public static func union(_ pipes: [Pipe], _ site: OperatorSite) -> Pipe {
        Pipe(around: pipes.reduce(0) { max($0, $1.depth) }, site) { context, inputs, sink in
            for input in inputs {
                guard case .branch(let index, let inner) = input, pipes.indices.contains(index)
                else { throw EngineError(.invalidPlan, "an input is of no branch", site: site) }
                try pipes[index].run(context, inner, sink)
            }
        }
    }

    /// The chain run once for each of the partitions that were joined, in order.
    @inlinable
    public func joined(_ site: OperatorSite) -> Pipe {
        let run = run
        return Pipe(around: depth, site) { context, inputs, sink in
            for input in inputs {
                guard case .branch(_, let inner) = input else {
                    throw EngineError(.invalidPlan, "an input is of no branch", site: site)
                }
                try run(context, inner, sink)
            }
        }
    }

    /// A kernel that runs the chain and keeps the partition in memory.
    @inlinable
    public func materializeKernel(id: KernelID, _ site: OperatorSite) -> Kernel {
        let gather = gathered
        return Kernel(id: id, site: site, making: Element.self) { context, inputs, _ in
            [.values(Values(try gather(context, inputs)))]
        }
    }
}
