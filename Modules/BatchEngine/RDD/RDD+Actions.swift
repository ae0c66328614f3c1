internal import Synchronization

extension RDD {
    /// Runs `body` over the partitions and returns its results in partition order.
    @usableFromInline
    func runTasks<Result: Sendable>(
        _ name: String, partitions: Range<Int>? = nil, file: String = "", line: UInt = 0,
        _ body: @escaping @Sendable (TaskContext, [PartitionData]) throws -> Result
    ) async throws -> [Result] {
        let kernel = Kernel(
            id: .nextDynamic(), site: OperatorSite(name, file: file, line: line)
        ) { context, inputs, _ in
            [.values(Values([try body(context, inputs)]))]
        }
        let results = Mutex<[Int: Result]>([:])
        try await run(kernel, partitions: partitions) { index, outputs in
            if case .values(let values)? = outputs.first, let values = values as? Values<Result> {
                results.withLock { $0[index] = values.elements[0] }
            }
        }
        return results.withLock { table in table.sorted { $0.key < $1.key }.map(\.value) }
    }

    @usableFromInline
    func run(
        _ kernel: Kernel, partitions: Range<Int>? = nil,
        receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws {
        let request = StageRequest(
            plan: plan, kernel: kernel, partitions: partitions,
            batchMilliseconds: context.batchMilliseconds, maxTaskFailures: context.maxTaskFailures)
        try await context.engine.run(request, receive: receive)
    }

    /// All elements, in partition order.
    ///
    /// - Complexity: memory for every element; use ``take(_:)`` to look at a few.
    @inlinable
    public func collect() async throws -> [Element] {
        Array(try await runTasks("collect", pipe.gathered).joined())
    }

    /// All elements, one array per partition.
    @inlinable
    public func collectPartitions() async throws -> [[Element]] {
        try await runTasks("collect", pipe.gathered)
    }

    /// The number of elements.
    @inlinable
    public func count() async throws -> Int {
        let run = pipe.run
        return try await runTasks("count") { context, inputs in
            var count = 0
            try run(context, inputs) { _ in count += 1 }
            return count
        }.reduce(0, +)
    }

    /// Whether there is no element; looks at no more than it must.
    @inlinable
    public func isEmpty() async throws -> Bool { try await take(1).isEmpty }

    /// The reduction of all elements, or nil when there are none.
    ///
    /// - Parameter combine: associative; applied within partitions, then in partition order.
    @inlinable
    public func reduce(
        file: String = #fileID, line: UInt = #line,
        _ combine: @escaping @Sendable (Element, Element) throws -> Element
    ) async throws -> Element? {
        let site = OperatorSite("reduce", file: file, line: line)
        let partials = try await runTasks("reduce", pipe.reduced(site, combine))
        var result: Element?
        for case let partial? in partials {
            result = try result.map { try combine($0, partial) } ?? partial
        }
        return result
    }

    /// Folds each partition from `initial`, then the results from `initial` in partition order.
    @inlinable
    public func fold(
        _ initial: Element, file: String = #fileID, line: UInt = #line,
        _ combine: @escaping @Sendable (Element, Element) throws -> Element
    ) async throws -> Element {
        let site = OperatorSite("fold", file: file, line: line)
        let run = pipe.run
        let partials = try await runTasks("fold", file: file, line: line) { context, inputs in
            var result = initial
            try run(context, inputs) { element in
                do { result = try combine(result, element) } catch {
                    throw OperatorFailure.wrap(error, at: site)
                }
            }
            return result
        }
        return try partials.reduce(initial, combine)
    }

    /// The first `count` elements in partition order; runs only as many partitions as it needs.
    ///
    /// - Complexity: O(elements looked at); starts with one partition and takes four times as many
    ///   in each further round.
    @inlinable
    public func take(_ count: Int) async throws -> [Element] {
        guard count > 0 else { return [] }
        let run = pipe.run
        var taken: [Element] = []
        var next = 0
        var round = 1
        let total = partitionCount
        while next < total, taken.count < count {
            let missing = count - taken.count
            let range = next..<min(total, next + round)
            let found = try await runTasks("take", partitions: range) { context, inputs in
                var elements: [Element] = []
                do {
                    try run(context, inputs) { element in
                        elements.append(element)
                        if elements.count == missing { throw StopEarly() }
                    }
                } catch is StopEarly {}
                return elements
            }
            for elements in found { taken.append(contentsOf: elements.prefix(count - taken.count)) }
            next = range.upperBound
            round *= 4
        }
        return taken
    }

    /// The first element, or nil when there is none.
    @inlinable
    public func first() async throws -> Element? { try await take(1).first }

    /// Calls `body` with each element, on the engine's threads.
    @inlinable
    public func foreach(
        file: String = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable (Element) throws -> Void
    ) async throws {
        let site = OperatorSite("foreach", file: file, line: line)
        let run = pipe.run
        _ = try await runTasks("foreach", file: file, line: line) { context, inputs in
            try run(context, inputs) { element in
                do { try body(element) } catch { throw OperatorFailure.wrap(error, at: site) }
            }
            return true
        }
    }

    /// Calls `body` once per partition, with its elements in bounded chunks.
    ///
    /// The body may wait; it runs on the engine's threads. It can run more than once for the same
    /// partition when it throws: ``TaskContext`` tells the attempts apart.
    @inlinable
    public func foreachPartition(
        file: String = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable (PartitionChunks<Element>, TaskContext) async throws -> Void
    ) async throws {
        let site = OperatorSite("foreachPartition", file: file, line: line)
        let kernel = pipe.effectKernel(id: .nextDynamic(), site, body)
        try await run(kernel) { _, _ in }
    }
}

extension Pipe {
    /// A kernel that hands each partition to an asynchronous body.
    @inlinable
    public func effectKernel(
        id: KernelID, _ site: OperatorSite,
        _ body: @escaping @Sendable (PartitionChunks<Element>, TaskContext) async throws -> Void
    ) -> Kernel {
        let gather = gathered
        return Kernel(id: id, site: site) { context, inputs in
            let chunks = PartitionChunks(try gather(context, inputs))
            do { try await body(chunks, context) } catch {
                throw OperatorFailure.wrap(error, at: site)
            }
        }
    }
}

/// A partition's elements as a sequence of chunks of at most 1,024 elements.
public struct PartitionChunks<Element: Sendable>: Sequence, Sendable {
    /// How many elements a chunk holds at most.
    public static var chunkSize: Int { 1024 }

    @usableFromInline let elements: [Element]

    /// Makes chunks of `elements`.
    @inlinable
    public init(_ elements: [Element]) { self.elements = elements }

    /// The number of elements in all chunks.
    @inlinable
    public var elementCount: Int { elements.count }

    /// Hands out the chunks in order.
    @inlinable
    public func makeIterator() -> AnyIterator<ArraySlice<Element>> {
        let elements = elements
        var start = 0
        return AnyIterator {
            guard start < elements.count else { return nil }
            let end = Swift.min(start + Self.chunkSize, elements.count)
            defer { start = end }
            return elements[start..<end]
        }
    }
}
