public import BatchEngine

extension DStream {
    /// Makes values of records, and leaves out the records for which `transform` throws.
    ///
    /// These are counted: ``StreamEvent/recordsRejected(time:operatorName:count:reason:)`` is posted when an
    /// output operation has met some that no other had, and logged as a warning. With ``ParseErrorPolicy/deadLetter`` they are kept
    /// as well, as ``ParseFailure``, in a dead letter for each batch that has some; `transform` then runs
    /// twice for each record. A replay does not parse them again: read them, as the guide to failures says.
    ///
    /// ```swift
    /// let readings = lines.parse(onError: .deadLetter) { try Reading($0) }
    /// ```
    @inlinable
    public func parse<Output: Sendable>(
        onError policy: ParseErrorPolicy, file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable (Element) throws -> Output
    ) -> DStream<Output> {
        let site = OperatorSite("parse", file: file, line: line)
        if policy == .deadLetter {
            failures(of: transform, site).output(site) { rdd, _, _ in
                guard let first = try await rdd.first() else { return }
                let count = try await rdd.count()
                throw StreamError(
                    .recordsRejected,
                    "\(count) records could not be parsed; the first: \(first.reason)", site: site)
            }.onFailure(retry: .none, then: .deadLetter, file: file, line: line)
        }
        return values(of: transform, site)
    }

    /// Makes values of records; those for which `transform` throws become a stream of their own.
    ///
    /// They are counted as by ``parse(onError:file:line:_:)``. For each record, `transform` runs once for the
    /// values and once for the failures, as far as these are used.
    ///
    /// ```swift
    /// let readings = lines.parse { try Reading($0) } onError: { failures in
    ///     failures.map { "\($0.reason): \($0.record)" }.saveAsTextFiles(prefix: "rejected")
    /// }
    /// ```
    ///
    /// - Parameter declare: called at once, with the stream of failures.
    @inlinable
    public func parse<Output: Sendable>(
        file: String = #fileID, line: UInt = #line,
        _ transform: @escaping @Sendable (Element) throws -> Output,
        onError declare: (_ failures: DStream<ParseFailure<Element>>) -> Void
    ) -> DStream<Output> {
        let site = OperatorSite("parse", file: file, line: line)
        declare(failures(of: transform, site))
        return values(of: transform, site)
    }

    @inlinable
    func values<Output: Sendable>(
        of transform: @escaping @Sendable (Element) throws -> Output, _ site: OperatorSite
    ) -> DStream<Output> {
        let rejected = RejectedRecords(site, graph)
        return derived(site) { [pipe] in
            let pipe = pipe()
            return Pipe(around: pipe.depth, site) { context, inputs, sink in
                try pipe.run(context, inputs) { element in
                    let output: Output
                    do { output = try transform(element) } catch {
                        if OperatorFailure.isSignal(error) { throw error }
                        return rejected.note(error, in: context)
                    }
                    try sink(output)
                }
            }
        }
    }

    @inlinable
    func failures<Output: Sendable>(
        of transform: @escaping @Sendable (Element) throws -> Output, _ site: OperatorSite
    ) -> DStream<ParseFailure<Element>> {
        derived(site) { [pipe] in
            let pipe = pipe()
            return Pipe(around: pipe.depth, site) { context, inputs, sink in
                try pipe.run(context, inputs) { element in
                    do { _ = try transform(element) } catch {
                        if OperatorFailure.isSignal(error) { throw error }
                        try sink(ParseFailure(record: element, reason: "\(error)"))
                    }
                }
            }
        }
    }
}
