/// A fused chain of narrow operators: pushes a partition's elements into a sink.
///
/// Streams and RDDs share this algebra. Each operator wraps the closure before it, written at the
/// user's call site by `@inlinable` code, so that a chain runs specialised for its element types
/// without anything being looked up per element.
public struct Pipe<Element: Sendable>: Sendable {
    /// Pushes the elements found in the inputs into the sink, in order.
    public typealias Body =
        @Sendable (TaskContext, [PartitionData], (Element) throws -> Void) throws -> Void

    /// Runs the chain over one partition.
    public let run: Body

    /// Makes a pipe from its body.
    @inlinable
    public init(_ run: @escaping Body) { self.run = run }

    /// The start of a stage: elements in memory, as bytes, or behind another pipe.
    @inlinable
    public static func source(_ site: OperatorSite) -> Pipe {
        Pipe { context, inputs, sink in
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
                    .taskFailed, "a partition holds \(type(of: values)), not \(Element.self)",
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
                    .taskFailed, "a per-batch pipe is \(type(of: pipe)), not of \(Element.self)",
                    site: site)
            }
            try pipe.pipe.run(context, inner, sink)
        case .branch(_, let inner):
            for input in inner { try pushSource(input, context, site, sink) }
        case .lines(let block):
            try context.checkCancellation()
            try block.forEachLine { line in
                // Only sources of String are handed lines.
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
        try context.checkCancellation()
        try encoded.bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            while !reader.isAtEnd { try sink(try codec.decode(&reader)) }
        }
    }
}

/// A pipe behind a reference, so that a plan can carry it without knowing its type.
public final class PipeBox<Element: Sendable>: Sendable {
    /// The pipe.
    public let pipe: Pipe<Element>

    /// Wraps `pipe`.
    @inlinable
    public init(_ pipe: Pipe<Element>) { self.pipe = pipe }
}

extension Pipe {
    /// Applies `transform` to each element.
    @inlinable
    public func map<Output: Sendable>(
        _ site: OperatorSite, _ transform: @escaping @Sendable (Element) throws -> Output
    ) -> Pipe<Output> {
        let run = run
        return Pipe<Output> { context, inputs, sink in
            try run(context, inputs) { element in
                let output: Output
                do { output = try transform(element) } catch {
                    throw OperatorFailure.wrap(error, at: site)
                }
                try sink(output)
            }
        }
    }

    /// Keeps the elements for which `isIncluded` is true.
    @inlinable
    public func filter(
        _ site: OperatorSite, _ isIncluded: @escaping @Sendable (Element) throws -> Bool
    ) -> Pipe {
        let run = run
        return Pipe { context, inputs, sink in
            try run(context, inputs) { element in
                let included: Bool
                do { included = try isIncluded(element) } catch {
                    throw OperatorFailure.wrap(error, at: site)
                }
                if included { try sink(element) }
            }
        }
    }

    /// Replaces each element by the elements of a sequence.
    @inlinable
    public func flatMap<Outputs: Sequence & SendableMetatype>(
        _ site: OperatorSite, _ transform: @escaping @Sendable (Element) throws -> Outputs
    ) -> Pipe<Outputs.Element> where Outputs.Element: Sendable, Outputs.Iterator: SendableMetatype {
        let run = run
        return Pipe<Outputs.Element> { context, inputs, sink in
            try run(context, inputs) { element in
                let outputs: Outputs
                do { outputs = try transform(element) } catch {
                    throw OperatorFailure.wrap(error, at: site)
                }
                for output in outputs { try sink(output) }
            }
        }
    }

    /// Replaces each element by the elements of a sequence that pushes them itself.
    @inlinable
    public func flatMap<Outputs: PushSequence & SendableMetatype>(
        _ site: OperatorSite, _ transform: @escaping @Sendable (Element) throws -> Outputs
    ) -> Pipe<Outputs.Element> where Outputs.Element: Sendable, Outputs.Iterator: SendableMetatype {
        let run = run
        return Pipe<Outputs.Element> { context, inputs, sink in
            try run(context, inputs) { element in
                let outputs: Outputs
                do { outputs = try transform(element) } catch {
                    throw OperatorFailure.wrap(error, at: site)
                }
                try outputs.forEachPush(sink)
            }
        }
    }

    /// Hands a whole partition to `transform`.
    @inlinable
    public func mapPartitions<Outputs: Sequence & SendableMetatype>(
        _ site: OperatorSite, _ transform: @escaping @Sendable ([Element]) throws -> Outputs
    ) -> Pipe<Outputs.Element> where Outputs.Element: Sendable, Outputs.Iterator: SendableMetatype {
        let gather = gathered
        return Pipe<Outputs.Element> { context, inputs, sink in
            let outputs: Outputs
            let elements = try gather(context, inputs)
            do { outputs = try transform(elements) } catch {
                throw OperatorFailure.wrap(error, at: site)
            }
            for output in outputs { try sink(output) }
        }
    }

    /// Runs the chain and gathers the partition's elements into an array.
    @inlinable
    public var gathered: @Sendable (TaskContext, [PartitionData]) throws -> [Element] {
        let run = run
        return { context, inputs in
            var elements: [Element] = []
            try run(context, inputs) { elements.append($0) }
            return elements
        }
    }

    /// The chains of several inputs, chosen by the branch each partition is tagged with.
    @inlinable
    public static func union(_ pipes: [Pipe]) -> Pipe {
        Pipe { context, inputs, sink in
            for input in inputs {
                if case .branch(let index, let inner) = input {
                    try pipes[index].run(context, inner, sink)
                }
            }
        }
    }

    /// A kernel that runs the chain and keeps the partition in memory.
    @inlinable
    public func materializeKernel(id: KernelID, _ site: OperatorSite) -> Kernel {
        let gather = gathered
        return Kernel(id: id, site: site) { context, inputs, _ in
            [.values(Values(try gather(context, inputs)))]
        }
    }
}
