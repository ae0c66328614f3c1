internal import Synchronization

extension RDD {
    /// Runs `body` over the partitions and returns its results in partition order.
    @usableFromInline
    func runTasks<Result: Sendable>(
        _ site: OperatorSite, partitions: Range<Int>? = nil,
        _ body: @escaping @Sendable (TaskContext, [PartitionData]) throws -> Result
    ) async throws -> [Result] {
        var kernel = Kernel(id: .nextDynamic(), site: site) { context, inputs, _ in
            [.values(Values([try body(context, inputs)]))]
        }
        kernel.isReading = pipe.isPlain
        let first = partitions?.lowerBound ?? 0
        let results = Locked<[Result?]>([])
        try await run(kernel, partitions: partitions) { index, outputs in
            guard case .values(let values)? = outputs.first,
                let result = (values as? Values<Result>)?.elements.first
            else { throw EngineError(.invalidPlan, "a task returned no result", site: site) }
            results.withLock { results in
                while results.count <= index - first { results.append(nil) }
                results[index - first] = result
            }
        }
        return results.withLock { $0.compactMap { $0 } }
    }

    /// Makes one value of each partition, and one of those: all on the engine's threads.
    ///
    /// - Parameters:
    ///   - partial: runs over each partition.
    ///   - conclude: runs once, over the partial values in partition order.
    @inlinable
    func concluded<Partial: Sendable, Result: Sendable>(
        _ site: OperatorSite,
        _ partial: @escaping @Sendable (TaskContext, [PartitionData]) throws -> Partial,
        _ conclude: @escaping @Sendable ([Partial]) throws -> Result
    ) async throws -> Result {
        let kernel = Kernel(id: .nextDynamic(), site: site) { context, inputs, _ in
            [.values(Values([try partial(context, inputs)]))]
        }
        let partials = exchanged(kernel, 1, Pipe<Partial>.source(site))
        let gather = partials.pipe.gathered
        let results = try await partials.runTasks(site) { context, inputs in
            try conclude(try gather(context, inputs))
        }
        guard let result = results.first else {
            throw EngineError(.invalidPlan, "there is no result", site: site)
        }
        return result
    }

    @usableFromInline
    func run(
        _ kernel: Kernel, partitions: Range<Int>? = nil,
        receive: @escaping @Sendable (Int, [PartitionData]) throws -> Void
    ) async throws {
        let request = context.request(kernel, over: plan, partitions: partitions)
        try await context.engine.run(request, receive: receive)
    }

    /// All elements, in partition order.
    ///
    /// - Complexity: memory for every element; use ``take(_:file:line:)`` to look at a few.
    @inlinable
    public func collect(file: String = #fileID, line: UInt = #line) async throws -> [Element] {
        let partitions = try await collectPartitions(file: file, line: line)
        if partitions.count == 1 { return partitions[0] }
        var elements: [Element] = []
        elements.reserveCapacity(partitions.reduce(0) { $0 + $1.count })
        for partition in partitions { elements.append(contentsOf: partition) }
        return elements
    }

    /// All elements, one array per partition.
    @inlinable
    public func collectPartitions(
        file: String = #fileID, line: UInt = #line
    ) async throws -> [[Element]] {
        try await runTasks(OperatorSite("collect", file: file, line: line), pipe.gathered)
    }

    /// The number of elements.
    @inlinable
    public func count(file: String = #fileID, line: UInt = #line) async throws -> Int {
        try await partitionCounts(OperatorSite("count", file: file, line: line)).reduce(0, +)
    }

    /// The number of elements of each partition.
    @inlinable
    func partitionCounts(_ site: OperatorSite) async throws -> [Int] {
        let run = pipe.run
        return try await runTasks(site) { context, inputs in
            var count = 0
            try run(context, inputs) { _ in count += 1 }
            return count
        }
    }

    /// Whether there is no element; looks at no more than it must.
    @inlinable
    public func isEmpty(file: String = #fileID, line: UInt = #line) async throws -> Bool {
        try await take(1, file: file, line: line).isEmpty
    }

    /// The reduction of all elements, or nil when there are none.
    ///
    /// - Parameter combine: associative; applied within partitions, then in partition order,
    ///   always on the engine's threads.
    @inlinable
    public func reduce(
        file: String = #fileID, line: UInt = #line,
        @ClosureBody<(Element, Element), Element>
        _ combine: @escaping @Sendable (Element, Element) throws -> Element
    ) async throws -> Element? {
        let site = OperatorSite("reduce", file: file, line: line)
        if partitionCount == 1 {
            return try await runTasks(site, pipe.reduced(site, combine)).first ?? nil
        }
        let kernel = pipe.foldKernel(id: .nextDynamic(), site, combine)
        let partials = exchanged(kernel, 1, Pipe<Element>.source(site))
        return try await partials.runTasks(site, partials.pipe.reduced(site, combine)).first ?? nil
    }

    /// Folds each partition from `initial`, then the results from `initial` in partition order.
    @inlinable
    public func fold(
        _ initial: Element, file: String = #fileID, line: UInt = #line,
        _ combine: @escaping @Sendable (Element, Element) throws -> Element
    ) async throws -> Element {
        try await aggregate(
            OperatorSite("fold", file: file, line: line), initial, combine, combine)
    }

    /// The first `count` elements in partition order; runs only as many partitions as it needs.
    ///
    /// - Complexity: O(elements looked at); starts with one partition and takes four times as many
    ///   in each further round.
    @inlinable
    public func take(
        _ count: Int, file: String = #fileID, line: UInt = #line
    ) async throws -> [Element] {
        guard count > 0 else { return [] }
        let site = OperatorSite("take", file: file, line: line)
        let run = pipe.run
        var taken: [Element] = []
        var next = 0
        var round = 1
        let total = partitionCount
        while next < total, taken.count < count {
            let missing = count - taken.count
            let range = next..<Swift.min(total, next + round)
            let found = try await runTasks(site, partitions: range) { context, inputs in
                var elements: [Element] = []
                do {
                    try run(context, inputs) { element in
                        // A sequence of the user may have caught the signal and gone on.
                        guard elements.count < missing else { throw StopEarly() }
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
    public func first(file: String = #fileID, line: UInt = #line) async throws -> Element? {
        try await take(1, file: file, line: line).first
    }

    /// Calls `body` with each element, on the engine's threads.
    @inlinable
    public func foreach(
        file: String = #fileID, line: UInt = #line,
        _ body: @escaping @Sendable (Element) throws -> Void
    ) async throws {
        let site = OperatorSite("foreach", file: file, line: line)
        let run = pipe.run
        let kernel = Kernel(id: .nextDynamic(), site: site) { context, inputs, _ in
            try run(context, inputs) { element in
                try OperatorFailure.attempt(site, body, element)
            }
            return []
        }
        try await self.run(kernel) { _, _ in }
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
            return []
        }
    }

    /// A kernel that makes one value of each partition, by a body that may wait.
    @inlinable
    public func resultKernel<Result: Sendable>(
        id: KernelID, _ site: OperatorSite,
        _ body: @escaping @Sendable (PartitionChunks<Element>, TaskContext) async throws -> Result
    ) -> Kernel {
        let gather = gathered
        return Kernel(id: id, site: site) { context, inputs in
            let chunks = PartitionChunks(try gather(context, inputs))
            do { return [.values(Values([try await body(chunks, context)]))] } catch {
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
    public func makeIterator() -> Iterator { Iterator(elements) }

    /// Hands out chunks in order.
    public struct Iterator: IteratorProtocol, Sendable {
        @usableFromInline let elements: [Element]
        @usableFromInline var start = 0

        @inlinable
        init(_ elements: [Element]) { self.elements = elements }

        /// The next chunk, or nil after the last.
        @inlinable
        public mutating func next() -> ArraySlice<Element>? {
            guard start < elements.count else { return nil }
            let end = Swift.min(start + PartitionChunks.chunkSize, elements.count)
            defer { start = end }
            return elements[start..<end]
        }
    }
}
